"""The RPC methods of mirrors: ours, or those of SPDK's own module with the same shapes."""

import time


class Mirrors:
    """The mirrors of one application."""

    def __init__(self, application, stock=False):
        self.application = application
        self.stock = stock

    def method(self, verb):
        """Name of a method."""
        return f"bdev_raid_{verb}" if self.stock else f"raid1_{verb}"

    def params(self, name, legs, **further):
        """Parameters of `create`."""
        level = {"raid_level": "raid1"} if self.stock else {}
        return {"name": name, "base_bdevs": legs, **level, **further}

    def create(self, name, legs, **further):
        """Makes a mirror, and waits until its first leg is copied to the others. SPDK's own module
        copies nothing."""
        made = self.application.call(self.method("create"), **self.params(name, legs, **further))
        deadline = time.monotonic() + 60
        while not all(leg["is_configured"] for leg in self.get(name)["base_bdevs_list"]):
            assert time.monotonic() < deadline, self.get(name)
            time.sleep(0.02)
        return made

    def delete(self, name):
        """Deletes a mirror."""
        return self.application.call(self.method("delete"), name=name)

    def remove_leg(self, leg):
        """Takes a leg out of its mirror."""
        return self.application.call(self.method("remove_base_bdev"), name=leg)

    def list(self, category="all"):
        """What the application says of its mirrors."""
        return self.application.call(self.method("get_bdevs"), category=category)

    def get(self, name):
        """What the application says of one mirror."""
        return next(entry for entry in self.list() if entry["name"] == name)

    def legs(self, name):
        """Names of the legs in use."""
        entries = self.get(name)["base_bdevs_list"]
        return [entry["name"] for entry in entries if entry["is_configured"]]
