"""`lass-hf serve` while clients hold connections half open: how long another client waits for an answer.

    python benchmarks/half_open.py --model DIR [--connections 300] [--json FILE]

Half of the connections send nothing, the others half a header. Before they are open, the client asks for the tails of
the graph's first entity and relation; while they are, for the heads. The figures say also how many connections the
server still holds after 12 seconds, and how much it wrote to its terminal.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from typing import Any

from lass_hf import LassProcessor
from lass_hf.utils.environment import command_line
from lass_hf.utils.result_files import write_results

WAIT = 12  # seconds, more than the server gives a client


def ask(port: int, question: dict[str, str]) -> float:
    """Returns the seconds until a question is answered, over as many connections as that takes."""
    start = time.perf_counter()
    while time.perf_counter() - start < 60:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", "/api/complete", json.dumps(question), {"content-type": "application/json"})
            if connection.getresponse().status == 200:
                return time.perf_counter() - start
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    return float("inf")


def is_open(connection: socket.socket) -> bool:
    """Returns whether the server has left a connection open."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def measure(port: int, entity: str, relation: str, count: int) -> dict[str, Any]:
    """Returns the figures of one attack."""
    before, connections = ask(port, {"head": entity, "relation": relation}), []
    for number in range(count):
        connections.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        if number % 2:
            connections[-1].sendall(b"GET /api/info HTTP/1.1\r\nHost: loc")
    during = ask(port, {"tail": entity, "relation": relation})
    time.sleep(WAIT)
    left = sum(map(is_open, connections))
    return {"connections": count, "seconds_before": before, "seconds_during": during, f"open_after_{WAIT}_s": left}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True, metavar="DIR", help="trained LASS model")
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    graph = LassProcessor.from_pretrained(arguments.model).graph
    if graph is None:
        raise SystemExit(f"{arguments.model} has no graph")
    command = [sys.executable, "-m", "lass_hf.cli", "serve", "--model", arguments.model, "--port", "0", "--quiet"]
    with tempfile.TemporaryFile() as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert server.stdout is not None
            address = re.search(r":(\d+)/", server.stdout.readline())
            if address is None:
                raise SystemExit("the server did not start")
            figures = measure(
                int(address.group(1)), graph.entities.ids[0], graph.relations.ids[0], arguments.connections
            )
        finally:
            server.terminate()
            server.wait()
        figures["bytes_on_terminal"] = errors.seek(0, 2)
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if arguments.json:
        write_results(arguments.json, figures, command=command_line())


if __name__ == "__main__":
    main()
