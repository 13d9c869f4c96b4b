"""A client meets every challenge there is. Needs `arcgis-stand-in` on the PATH, or its path in STAND_IN."""

import json
import os
import subprocess
import unittest
from urllib.parse import urlencode
from urllib.request import urlopen


def client_under_test(root):
    """Put yours here: the layers of a secured service, after a login if they do not come."""
    query = {"f": "json"}
    for _ in range(2):
        try:
            with urlopen(f"{root}/rest/services/Parcels/MapServer?{urlencode(query)}") as answer:
                return json.load(answer)["layers"]
        except (OSError, ValueError, KeyError):
            # Whatever a challenge looks like, it has no layers.
            form = urlencode({"username": "ada", "password": "s3cret", "f": "json"}).encode()
            with urlopen(f"{root}/tokens/generateToken", form) as answer:
                query["token"] = json.load(answer)["token"]
    raise RuntimeError("no layers after a login")


class EveryChallenge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        program = os.environ.get("STAND_IN", "arcgis-stand-in")
        user = ["--username", "ada", "--password", "s3cret"]
        cls.arcgis = subprocess.Popen(
            [program, "--listen", "127.0.0.1:0", *user],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # listening on http://127.0.0.1:PORT
        cls.origin = cls.arcgis.stdout.readline().split()[-1]

    @classmethod
    def tearDownClass(cls):
        cls.arcgis.terminate()
        cls.arcgis.wait()
        cls.arcgis.stdout.close()

    def read(self, name):
        with urlopen(f"{self.origin}/stand-in/{name}") as answer:
            return json.load(answer)

    def control(self, name, **fields):
        with urlopen(f"{self.origin}/stand-in/{name}", urlencode(fields).encode()) as answer:
            return json.load(answer)

    def test_the_client_logs_in_once_at_every_challenge(self):
        for shape in self.read("challenges"):
            with self.subTest(shape):
                self.control("reset")
                self.control("challenge", shape=shape)
                client_under_test(f"{self.origin}/arcgis")
                self.assertEqual(self.read("counters")["logins"], 1)


if __name__ == "__main__":
    unittest.main()
