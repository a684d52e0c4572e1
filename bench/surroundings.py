"""The cluster, logs and alerts of the tests' shop, in a process of their own: a server that is measured must not wait for its client.

Prints the addresses as one line of JSON, then serves until it is killed. Needs the tests on its path.
"""

from __future__ import annotations

import asyncio
import json

from evidence.surroundings import a_shop, servers_of


async def _main() -> None:
    async with servers_of(a_shop()) as urls:
        print(json.dumps(urls), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
