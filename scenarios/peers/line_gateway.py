"""A gateway that takes lines over TCP, for scenarios/external-tcp.toml.

Answers the line {"id": 7, …} with {"ack": 7}. Takes any other line for a metric, `PATH VALUE TIME`, and says nothing.

usage: line_gateway.py PORT
"""

import asyncio
import json
import sys


async def converse(reader, writer):
    try:
        while line := await reader.readline():
            if line.startswith(b"{"):
                writer.write(json.dumps({"ack": json.loads(line)["id"]}).encode() + b"\n")
                await writer.drain()
            else:
                path, value, time = line.decode().split(" ")
                float(value), int(time)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(converse, "127.0.0.1", port)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
