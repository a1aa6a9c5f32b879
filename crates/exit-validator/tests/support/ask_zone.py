"""Asks a name server as dnspython understands DNS. Lines of JSON come in, and one goes out for each:

{"to": [ADDRESS, PORT], "name": .., "type": .., "tcp": bool, "edns": SIZE or null, "fallback": bool}
"""

import json
import sys

import dns.flags
import dns.message
import dns.query
import dns.rcode

PATIENCE = 20


def ask(to, name, type, tcp=False, edns=None, fallback=False):
    query = dns.message.make_query(name, type, use_edns=0 if edns else False, payload=edns or 0)
    if fallback:
        answer, by_tcp = dns.query.udp_with_fallback(query, to[0], PATIENCE, to[1])
    else:
        by_tcp = tcp
        answer = (dns.query.tcp if tcp else dns.query.udp)(query, to[0], PATIENCE, to[1])
    text = lambda section: sorted(line for rrset in section for line in rrset.to_text().split("\n"))
    return {
        "code": dns.rcode.to_text(answer.rcode()),
        "flags": dns.flags.to_text(answer.flags).split(),
        "answer": text(answer.answer),
        "authority": text(answer.authority),
        "additional": text(answer.additional),
        "edns": answer.payload if answer.edns >= 0 else None,
        "tcp": by_tcp,
    }


for line in sys.stdin:
    print(json.dumps(ask(**json.loads(line))), flush=True)
