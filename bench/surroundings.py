"""The cluster, logs and alerts of the tests' shop, in a process of their own: a server that is measured must not wait for its client.

Prints the addresses as one line of JSON, then serves until it is killed. Needs the tests on its path.

    python -m bench.surroundings                       all well
    python -m bench.surroundings prometheus hang       a Prometheus of its own too, and that one is silent
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack

from evidence.surroundings import a_broken_server, a_shop, servers_of


async def _main(broken: tuple[str, ...]) -> None:
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(servers_of(a_shop()))
        if broken:
            name, way = broken
            urls[name] = await stack.enter_async_context(a_broken_server(name, way))
        print(json.dumps(urls), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(tuple(sys.argv[1:])))
