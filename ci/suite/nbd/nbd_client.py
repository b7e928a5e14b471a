"""A client of NBD that says what it is told to, right or wrong."""

import socket
import struct

OPTION = b"IHAVEOPT"
GO, INFO, LIST, EXPORT_NAME, ABORT, STRUCTURED_REPLY = 7, 6, 3, 1, 2, 8
READ, WRITE, DISC, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
FUA = 1
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
EPERM, EIO, EINVAL, ENOSPC, ESHUTDOWN = 1, 5, 22, 28, 108
ACK, UNSUPPORTED, UNKNOWN = 1, 1 << 31 | 1, 1 << 31 | 6


class Closed(Exception):
    """The server has ended the connection."""


class Client:
    """A connection to a unix socket, or to a (host, port)."""

    def __init__(self, address, seconds=20):
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(address if family == socket.AF_INET else str(address))
        self.size = self.flags = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends bytes as they are."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self, length):
        """So many bytes."""
        data = bytearray()
        while len(data) < length:
            try:
                piece = self.socket.recv(length - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Closed
            data += piece
        return bytes(data)

    def is_closed(self):
        """Waits until the server has ended the connection; what it still sends is passed over."""
        try:
            while self.socket.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True

    def greet(self, flags=3):
        """Exchanges flags."""
        assert self.receive(18) == b"NBDMAGICIHAVEOPT\x00\x03"
        self.send(struct.pack(">I", flags))
        return self

    def option(self, number, data=b""):
        """Sends an option; its replies as (type, data), up to the last one."""
        self.send(OPTION + struct.pack(">II", number, len(data)) + data)
        replies = []
        while True:
            magic, again, kind, length = struct.unpack(">QIII", self.receive(20))
            assert (magic, again) == (0x3E889045565A9, number)
            replies.append((kind, self.receive(length)))
            if kind == ACK or kind >> 31:
                return replies

    def go(self, name=""):
        """Begins the transmission."""
        self.greet()
        data = struct.pack(">I", len(name)) + name.encode() + b"\0\0"
        replies = self.option(GO, data)
        assert replies[-1][0] == ACK, replies
        kind, self.size, self.flags = struct.unpack(">HQH", replies[0][1])
        assert kind == 0
        return self

    def request(self, command, offset=0, length=0, data=b"", flags=0, cookie=1,
                magic=REQUEST_MAGIC):
        """Sends a request."""
        head = struct.pack(">IHHQQI", magic, flags, command, cookie, offset, length)
        self.send(head + data)

    def reads(self, count, length, step=0):
        """Sends many requests at once, with cookies from 0 on: the kernel takes few small messages."""
        self.send(b"".join(struct.pack(">IHHQQI", REQUEST_MAGIC, 0, READ, cookie, cookie * step, length)
                           for cookie in range(count)))

    def reply(self):
        """The error and the cookie of a reply."""
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        assert magic == REPLY_MAGIC
        return error, cookie

    def call(self, command, offset=0, length=0, data=b"", flags=0):
        """Sends a request and returns the error of its reply, or the data of a read."""
        self.request(command, offset, length, data, flags)
        error, cookie = self.reply()
        assert cookie == 1
        if command == READ and error == 0:
            return self.receive(length)
        return error

    def read(self, offset, length):
        """Reads; an error is a number."""
        return self.call(READ, offset, length)

    def write(self, offset, data, flags=0):
        """Writes; the error."""
        return self.call(WRITE, offset, len(data), data, flags)
