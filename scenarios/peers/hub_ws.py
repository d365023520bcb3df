"""A WebSocket server that tells watchers what others send, for scenarios/external-ws-subscribers.toml.

What vans send on /vans, {"van": "…", "n": 7, …}, is acknowledged by {"ack": 7} and told to whoever is connected on /watch, as
{"event": "moved", "about": {"van": "…", "n": 7}}. Needs the package `websockets`.

usage: hub_ws.py PORT
"""

import asyncio
import json
import sys

from websockets.asyncio.server import broadcast, serve

watchers = set()


async def converse(connection):
    if connection.request.path == "/watch":
        watchers.add(connection)
        try:
            await connection.wait_closed()
        finally:
            watchers.discard(connection)
        return
    async for message in connection:
        reading = json.loads(message)
        about = {"van": reading["van"], "n": reading["n"]}
        broadcast(watchers, json.dumps({"event": "moved", "about": about}))
        await connection.send(json.dumps({"ack": reading["n"]}))


async def main(port):
    async with serve(converse, "127.0.0.1", port) as server:
        print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
