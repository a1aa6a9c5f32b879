"""The chutney network without chutney: what network.py asks of it, and what the templates use.

Run by `python3 deploy/chutney/test_network.py`; needs the standard library alone.
"""

import json
import os
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "torrc_templates"
# What chutney itself gives to every template, of what ours use (TorEnviron and DEFAULTS in its
# lib/chutney/TorNet.py).
CHUTNEYS = {"ip", "nick", "orport", "dirport", "socksport"}
WANTED = [
    {"nickname": "correct", "resolver": "127.0.0.1:1", "ipv6": False, "then": "runs"},
    {"nickname": "silent", "resolver": "127.0.0.1:2", "ipv6": True, "then": "runs"},
    {"nickname": "dead", "resolver": "127.0.0.1:3", "ipv6": False, "then": "dies"},
]


class Node:
    """What network.py uses of chutney's class of this name."""

    def __init__(self, **settings):
        self._env = settings
        self.runtime = {}

    def set_runtime(self, key, function):
        self.runtime[key] = function


class NetworkTest(unittest.TestCase):
    def configured(self, most_nodes=64, version=1):
        with tempfile.TemporaryDirectory(prefix="a lab with spaces ") as lab:
            exits = [wanted | {"resolv_conf": f"{lab}/{wanted['nickname']}"} for wanted in WANTED]
            offer = {
                "format": {"name": "exit-validator/lab-resolvers", "version": version},
                "pid": 1,
                "process_start": 1,
                "exits": exits,
            }
            (Path(lab) / "resolvers.json").write_text(json.dumps(offer), encoding="utf-8")
            environment = {
                "LAB_DIR": lab,
                "CHUTNEY_PATH": "/chutney",
                "CHUTNEY_TEMPLATES": str(TEMPLATES),
                "CHUTNEY_PORTS": "20000",
                "CHUTNEY_NODES": str(most_nodes),
            }
            nodes = []
            code = compile((HERE / "network.py").read_text(encoding="utf-8"), "network.py", "exec")
            with mock.patch.dict(os.environ, environment):
                # As chutney runs it.
                exec(code, {"Node": Node, "ConfigureNodes": nodes.extend})
            return nodes

    def test_there_is_an_exit_for_each_resolver(self):
        nodes = self.configured()
        exits = [node._env for node in nodes if node._env["tag"] == "e"]
        self.assertEqual([my["nick"] for my in exits], ["correct", "silent", "dead"])
        self.assertEqual([my["ipv6_exit"] for my in exits], [0, 1, 0])
        self.assertTrue(exits[1]["resolv_conf"].endswith("/silent"))
        tags = "".join(node._env["tag"] for node in nodes)
        self.assertEqual(tags, "aaaggggeeec", "guards start before exits")

    def test_no_two_nodes_share_a_port(self):
        most_nodes = 11
        nodes = self.configured(most_nodes)
        ports = []
        for number, node in enumerate(nodes):
            node._env["nodenum"] = number
            for kind in ("orport", "dirport", "controlport", "socksport"):
                ports.append(node._env[f"{kind}_base"] + number)
            if "dnsport" in node.runtime:
                ports.append(node.runtime["dnsport"](node._env))
        self.assertEqual(len(set(ports)), len(ports))
        self.assertEqual(len(ports), 4 * len(nodes) + 1, "the client has a DNSPort")
        self.assertGreaterEqual(min(ports), 20000)
        self.assertLess(max(ports), 20000 + 5 * most_nodes)

    def test_what_does_not_fit_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "11 nodes are more than CHUTNEY_NODES"):
            self.configured(most_nodes=10)
        with self.assertRaisesRegex(SystemExit, "not of the format"):
            self.configured(version=2)

    def test_the_authorities_know_guards_and_exits_once_there_are_keys(self):
        nodes = self.configured()
        authority = nodes[0]
        self.assertEqual(authority.runtime["guard_fingerprints"](authority._env), "")
        for number, node in enumerate(nodes):
            node._env["fingerprint"] = f"{number:040X}"
        guards = authority.runtime["guard_fingerprints"](authority._env).split(",")
        exits = authority.runtime["exit_fingerprints"](authority._env).split(",")
        self.assertEqual([int(guard, 16) for guard in guards], [3, 4, 5, 6])
        self.assertEqual([int(one, 16) for one in exits], [7, 8, 9])

    def test_each_template_has_what_it_uses(self):
        for node in self.configured():
            has = CHUTNEYS | node._env.keys() | node.runtime.keys()
            waiting = [node._env["torrc"]]
            self.assertEqual(node._env["torrc_template_path"][0], TEMPLATES)
            while waiting:
                template = TEMPLATES / waiting.pop()
                # The others are chutney's own.
                if not template.exists():
                    self.assertIn(template.name, {"common.i", "authority.i"})
                    continue
                text = template.read_text(encoding="utf-8")
                self.assertNotRegex(text, r"\$(?!\{)", f"{template.name}: a $ begins a name")
                for name in re.findall(r"\$\{([^}]*)\}", text):
                    if name.startswith("include:"):
                        waiting.append(name.removeprefix("include:"))
                    else:
                        self.assertIn(name, has, template.name)


if __name__ == "__main__":
    unittest.main()
