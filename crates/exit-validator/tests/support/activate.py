"""Starts a program with sockets passed to it, as systemd does (sd_listen_fds(3)): a UDP and a TCP socket on a
port of 127.0.0.1. Prints the port, then becomes the program."""

import os
import socket
import sys

tcp = socket.create_server(("127.0.0.1", 0))
port = tcp.getsockname()[1]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", port))
print(port, flush=True)
# Beyond the places that they go to, so that neither is closed by the other.
for at, fd in enumerate([os.dup(udp.fileno()), os.dup(tcp.fileno())]):
    os.dup2(fd, 100 + at)
for at in range(2):
    os.dup2(100 + at, 3 + at, inheritable=True)
    os.close(100 + at)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
