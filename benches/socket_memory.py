#!/usr/bin/env python3
"""Kernel memory of an open TCP socket: what Slab in /proc/meminfo grows by for 8 000 idle connections of this machine to itself.

Usage: benches/socket_memory.py [CONNECTIONS]   (twice as many descriptors; nothing else should run)
"""
import resource
import socket
import sys
import time


def slab():
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    return int(lines["Slab"].split()[0]) * 1024


number = int(sys.argv[1]) if len(sys.argv) > 1 else 8_000
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for _ in range(3):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    before, held = slab(), []
    for _ in range(number):
        held.append(socket.create_connection(listener.getsockname()))
        held.append(listener.accept()[0])
    time.sleep(1)
    print(f"{(slab() - before) / len(held):.0f} bytes a socket")
    for end in held:
        end.close()
    listener.close()
    time.sleep(2)
