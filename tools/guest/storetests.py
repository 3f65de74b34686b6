"""The store's tests, which need no guest: only whole things, each made once, none lost in use."""

import os
import tempfile
import threading
import time
import unittest

import store


class Keeping(unittest.TestCase):
    """The store keeps whole things, and makes each once."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = folder.name
        self.addCleanup(lambda: os.environ.update(XDG_CACHE_HOME=before) if before
                        else os.environ.pop("XDG_CACHE_HOME"))

    def fill(self, folder):
        self.made = getattr(self, "made", 0) + 1
        time.sleep(0.1)
        with open(os.path.join(folder, "thing"), "w") as file:
            file.write("whole")

    def test_made_once_for_two_who_want_it(self):
        def want():
            with store.Store() as mine:
                mine.get("a", self.fill)

        others = [threading.Thread(target=want) for _ in range(3)]
        for other in others:
            other.start()
        for other in others:
            other.join()
        self.assertEqual(self.made, 1)

    def test_broken_off_is_made_again(self):
        def broken(folder):
            self.fill(folder)
            raise store.GuestError("no network")

        with store.Store() as mine:
            with self.assertRaises(store.GuestError):
                mine.get("a", broken)
            self.assertFalse(os.path.exists(mine.path("a")))
            # As after a kill in the middle, and as of a store that lost its seal.
            os.makedirs(mine.path("b.partial"))
            os.makedirs(mine.path("a"))
            mine.get("a", self.fill)
            self.assertFalse(os.path.exists(mine.path("b.partial")))
            self.assertTrue(os.path.exists(os.path.join(mine.path("a"), "thing")))

    def test_clean_removes_what_was_not_used_for_long_and_nothing_in_use(self):
        with store.Store() as mine:
            mine.get("a", self.fill)
            old = mine.get("b", self.fill)
            mine.get("c", self.fill)
            for name in "bc":
                os.utime(os.path.join(mine.path(name), store.SEALED), (0, 0))
            mine.get("c", self.fill)
            with self.assertRaisesRegex(store.GuestError, "guests are running"):
                mine.clean(1000)
            self.assertTrue(os.path.exists(old))
        mine.clean(1000)
        self.assertEqual([mine.has(name) for name in "abc"], [True, False, True])
