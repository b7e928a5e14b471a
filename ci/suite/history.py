"""What a disk that was written to, and that was killed, may hold: sector by sector."""

import itertools
import struct

SECTOR = 512
NEVER = float("inf")


class Write:
    """A write of sectors that nobody else writes, or of zeroes: when it was sent and answered."""

    def __init__(self, number, first, count, zeroes, sent):
        self.number, self.first, self.count, self.zeroes = number, first, count, zeroes
        self.sent, self.answered = sent, NEVER

    def sector(self, sector):
        """What it puts into a sector."""
        if self.zeroes:
            return bytes(SECTOR)
        return struct.pack("<QQ", self.number, sector) * (SECTOR // 16)

    def data(self):
        """All of it."""
        return b"".join(map(self.sector, range(self.first, self.first + self.count)))

    def __repr__(self):
        state = "not answered" if self.answered == NEVER else f"answered at {self.answered}"
        return f"<write {self.number} of {self.count} sectors from {self.first}, {state}>"


class History:
    """The writes since the content of the disk was last known. Times are numbers of events."""

    def __init__(self, content):
        self.content = bytearray(content)
        self.clock = itertools.count(1)
        self.writes = {}
        self.acknowledged = 0

    def begin(self, first, count, zeroes=False):
        """A write that is about to be sent."""
        now = next(self.clock)
        write = Write(now, first, count, zeroes, now)
        for sector in range(first, first + count):
            self.writes.setdefault(sector, []).append(write)
        return write

    def end(self, write):
        """It was acknowledged."""
        write.answered = next(self.clock)
        self.acknowledged += 1

    def possible(self, sector):
        """What a sector may hold: what was acknowledged before a later write was sent, which was
        acknowledged too, is overwritten."""
        writes = self.writes[sector]
        answered = [write.sent for write in writes if write.answered != NEVER]
        latest = max(answered, default=0)
        values = [write.sector(sector) for write in writes if write.answered >= latest]
        if not answered:
            values.append(bytes(self.content[sector * SECTOR:(sector + 1) * SECTOR]))
        return values

    def wrong(self, content):
        """Sectors that hold what they cannot, and the writes to them."""
        assert len(content) == len(self.content)
        found = []
        for sector in range(len(content) // SECTOR):
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            if sector not in self.writes:
                if content[place] != self.content[place]:
                    found.append((sector, content[place][:16].hex(), "nobody wrote there"))
            elif content[place] not in self.possible(sector):
                found.append((sector, content[place][:16].hex(), self.writes[sector]))
        return found

    def settle(self, content):
        """This is what it holds from now on."""
        self.content = bytearray(content)
        self.writes.clear()
