"""A chutney network whose exits' resolvers misbehave by script.

Run by chutney (`chutney configure network.py` and so on), which gives it Node and ConfigureNodes.
Which exits there are is not written here: `lab resolvers` says so, in resolvers.json. From the
environment come:

    LAB_DIR            the directory of `lab resolvers`
    CHUTNEY_TEMPLATES  the directory of the torrc templates that belong to this network
    CHUTNEY_PORTS      the first of PORT_KINDS * CHUTNEY_NODES free ports on 127.0.0.1
    CHUTNEY_NODES      for how many nodes at most there are ports of each kind
"""

import json
import os
from pathlib import Path

# Three authorities: relays count as measured where so many of them say so.
HOW_MANY_AUTHORITIES = 3
# A failed lookup is tried again by another first hop, three times in all.
HOW_MANY_GUARDS = 4

LAB = Path(os.environ["LAB_DIR"])
FIRST_PORT = int(os.environ["CHUTNEY_PORTS"])
MOST_NODES = int(os.environ["CHUTNEY_NODES"])
OFFER = json.loads((LAB / "resolvers.json").read_text(encoding="utf-8"))
FORMAT = {"name": "exit-validator/lab-resolvers", "version": 1}
if OFFER["format"] != FORMAT:
    raise SystemExit(f"resolvers.json is not of the format {FORMAT}, but {OFFER['format']}")

# OR, directory, control, SOCKS and DNS.
PORT_KINDS = 5
OR_PORTS, DIR_PORTS, CONTROL_PORTS, SOCKS_PORTS, DNS_PORTS = (
    FIRST_PORT + kind * MOST_NODES for kind in range(PORT_KINDS)
)

# Chutney's own templates are included by ours.
TEMPLATES = [
    Path(os.environ["CHUTNEY_TEMPLATES"]),
    Path(os.environ["CHUTNEY_PATH"]).resolve() / "torrc_templates",
]


def node(kind, nick, **more):
    """One node. `nick` and the templates' path are given to each itself: from a parent chutney
    takes only what it does not compute.
    """
    return Node(  # noqa: F821  chutney's
        tag=kind[0],
        nick=nick,
        torrc=f"validator-{kind}.tmpl",
        torrc_template_path=TEMPLATES,
        orport_base=OR_PORTS,
        dirport_base=DIR_PORTS,
        controlport_base=CONTROL_PORTS,
        socksport_base=SOCKS_PORTS,
        **more,
    )


AUTHORITIES = [
    node(
        "authority",
        f"authority{number}",
        relay=1,
        authority=1,
        bandwidths=str(LAB / "measured-bandwidths"),
    )
    for number in range(1, HOW_MANY_AUTHORITIES + 1)
]
GUARDS = [
    node("guard", f"guard{number}", relay=1) for number in range(1, HOW_MANY_GUARDS + 1)
]
EXITS = [
    node(
        "exit",
        wanted["nickname"],
        relay=1,
        exit=1,
        ipv6_exit=int(wanted["ipv6"]),
        resolv_conf=wanted["resolv_conf"],
    )
    for wanted in OFFER["exits"]
]
CLIENT = node("client", "client", client=1)
CLIENT.set_runtime("dnsport", lambda my: DNS_PORTS + my["nodenum"])


def fingerprints(nodes):
    """The nodes' identities, for a template: chutney makes all keys before it writes any torrc.
    Before that it fills in the templates once to see whether it can, and throws the result away.
    """

    def known(_):
        environments = [one._env for one in nodes]
        return ",".join(my["fingerprint"] for my in environments if "fingerprint" in my.keys())

    return known


for authority in AUTHORITIES:
    authority.set_runtime("guard_fingerprints", fingerprints(GUARDS))
    authority.set_runtime("exit_fingerprints", fingerprints(EXITS))

# In this order they are started. The guards before the exits: tor calls stable, and so fit to be
# a guard, what has been up for longer than the median.
NODES = AUTHORITIES + GUARDS + EXITS + [CLIENT]
if len(NODES) > MOST_NODES:
    raise SystemExit(f"{len(NODES)} nodes are more than CHUTNEY_NODES, which is {MOST_NODES}")

ConfigureNodes(NODES)  # noqa: F821  chutney's
