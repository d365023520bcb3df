"""A WebSocket server that wraps what it receives, for scenarios/external-ws.toml.

Speaks the sub-protocol `telemetry.v1` on /fleet, and answers {"id": 7, …} with {"ack": {"id": 7}}. Needs the package `websockets`.

usage: echo_ws.py PORT
"""

import asyncio
import json
import sys

from websockets.asyncio.server import serve


async def converse(connection):
    if not connection.request.path.startswith("/fleet?van="):
        return await connection.close(1008, "not here")
    async for message in connection:
        await connection.send(json.dumps({"ack": {"id": json.loads(message)["id"]}}))


async def main(port):
    async with serve(converse, "127.0.0.1", port, subprotocols=["telemetry.v1"]) as server:
        print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
