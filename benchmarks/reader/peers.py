"""Each way of looking an entity up, measured by itself: `python peers.py NAME URL SECONDS` prints one JSON object.

Run in the environment that NAME needs (`measure` makes them). Every peer gives the same thing, the entity's five
(product, score) pairs decoded from the same stored text, and is measured in CPU time of its process (user and system).
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TABLE = "bench-shop-20171130-1a2b3c4d"
ENTITIES = 1000
REGION = "us-east-1"
BATCH = 100
CONCURRENT = 50


def text(number: int) -> str:
    """The stored ranking of one entity: five products, as in the demo."""
    pairs = [[str(1_000_000 + (number * 37 + rank * 911) % 90_000), round(0.9 / (rank + 1), 4)] for rank in range(5)]
    return json.dumps(pairs, separators=(",", ":"))


def check(predictions: Any) -> None:
    assert len(predictions) == 5, predictions


def cpu(call: Callable[[int], object], seconds: float) -> float:
    """CPU microseconds a call."""
    for number in range(20):
        call(number)
    calls, begin, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(10):
            call(calls)
            calls += 1
    return (time.process_time() - begin) / calls * 1e6


async def cpu_async(call: Callable[[int], Awaitable[object]], seconds: float, concurrent: int) -> float:
    for number in range(20):
        await call(number)
    calls = 0
    end = time.monotonic() + seconds

    async def worker() -> None:
        nonlocal calls
        while time.monotonic() < end:
            calls += 1
            await call(calls)

    begin = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    return (time.process_time() - begin) / calls * 1e6


_BATCHES = [[str((number * 7 + offset) % ENTITIES) for offset in range(BATCH)] for number in range(100)]


def hundred(number: int) -> list[str]:
    """A hundred different entities, made beforehand."""
    return _BATCHES[number % len(_BATCHES)]


class Pointer:
    """A store that holds one document: the refresh thread runs, and costs what it costs."""

    uri = "memory://bench"
    poll_seconds = 1.0

    def read(self, known: str | None = None) -> Any:
        from kumo_serving.pointer import Pointer as Document
        from kumo_serving.pointer import dump_pointer
        from kumo_serving.pointer_stores import PointerBytes

        return None if known else PointerBytes(dump_pointer(Document("shop", TABLE, region=REGION)), "1")

    def watch(self, changed: object) -> None:
        """Nothing to watch."""

    def close(self) -> None:
        """Nothing to close."""


def kumo(url: str, seconds: float) -> dict[str, float]:
    from kumo_serving import Reader

    options = {"endpoint_url": url, "budget_seconds": 5, "start_seconds": 60, "cache_dir": tempfile.mkdtemp()}
    with Reader("shop", Pointer(), **options) as reader:

        def get(number: int) -> None:
            check(reader.get(str(number % ENTITIES)).predictions)  # type: ignore[union-attr]

        def many(number: int) -> None:
            for answer in reader.get_many(hundred(number)).values():
                check(answer.predictions)  # type: ignore[union-attr]

        return {"get": cpu(get, seconds), "many": cpu(many, seconds)}


def kumo_async(url: str, seconds: float) -> dict[str, float]:
    from kumo_serving import AsyncReader

    async def measure() -> dict[str, float]:
        options = {"endpoint_url": url, "budget_seconds": 5, "start_seconds": 60, "cache_dir": tempfile.mkdtemp()}
        async with AsyncReader("shop", Pointer(), pool_size=CONCURRENT, **options) as reader:

            async def get(number: int) -> None:
                check((await reader.get(str(number % ENTITIES))).predictions)  # type: ignore[union-attr]

            async def many(number: int) -> None:
                for answer in (await reader.get_many(hundred(number))).values():
                    check(answer.predictions)  # type: ignore[union-attr]

            return await _three(get, many, seconds)

    return asyncio.run(measure())


async def _three(get: Any, many: Any, seconds: float) -> dict[str, float]:
    return {
        "get": await cpu_async(get, seconds, 1),
        "many": await cpu_async(many, seconds, 1),
        "get_concurrent": await cpu_async(get, seconds, CONCURRENT),
        "many_concurrent": await cpu_async(many, seconds, 8),
    }


def boto3_client(url: str, seconds: float) -> dict[str, float]:
    import boto3

    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=url)

    def get(number: int) -> None:
        item = client.get_item(TableName=TABLE, Key={"e": {"S": str(number % ENTITIES)}})["Item"]
        check(json.loads(item["p"]["S"]))

    def many(number: int) -> None:
        keys = [{"e": {"S": entity}} for entity in hundred(number)]
        for item in client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})["Responses"][TABLE]:
            check(json.loads(item["p"]["S"]))

    return {"get": cpu(get, seconds), "many": cpu(many, seconds)}


def boto3_resource(url: str, seconds: float) -> dict[str, float]:
    import boto3

    resource = boto3.resource("dynamodb", region_name=REGION, endpoint_url=url)
    table = resource.Table(TABLE)

    def get(number: int) -> None:
        check(json.loads(table.get_item(Key={"e": str(number % ENTITIES)})["Item"]["p"]))

    def many(number: int) -> None:
        keys = [{"e": entity} for entity in hundred(number)]
        for item in resource.batch_get_item(RequestItems={TABLE: {"Keys": keys}})["Responses"][TABLE]:
            check(json.loads(item["p"]))

    return {"get": cpu(get, seconds), "many": cpu(many, seconds)}


def aiobotocore(url: str, seconds: float) -> dict[str, float]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    async def measure() -> dict[str, float]:
        config = AioConfig(max_pool_connections=CONCURRENT)
        async with get_session().create_client(
            "dynamodb", region_name=REGION, endpoint_url=url, config=config
        ) as client:

            async def get(number: int) -> None:
                answer = await client.get_item(TableName=TABLE, Key={"e": {"S": str(number % ENTITIES)}})
                check(json.loads(answer["Item"]["p"]["S"]))

            async def many(number: int) -> None:
                keys = [{"e": {"S": entity}} for entity in hundred(number)]
                answer = await client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
                for item in answer["Responses"][TABLE]:
                    check(json.loads(item["p"]["S"]))

            return await _three(get, many, seconds)

    return asyncio.run(measure())


def aiodynamo(url: str, seconds: float) -> dict[str, float]:
    """A client that is no botocore: its own requests and signatures over aiohttp."""
    import aiohttp
    from aiodynamo.client import Client
    from aiodynamo.credentials import Key, StaticCredentials
    from aiodynamo.http.aiohttp import AIOHTTP
    from aiodynamo.models import BatchGetRequest
    from yarl import URL

    async def measure() -> dict[str, float]:
        connector = aiohttp.TCPConnector(limit=CONCURRENT)
        async with aiohttp.ClientSession(connector=connector) as session:
            credentials = StaticCredentials(Key(id="AKIDBENCH", secret="bench"))
            client = Client(AIOHTTP(session), credentials, REGION, endpoint=URL(url))

            async def get(number: int) -> None:
                item = await client.get_item(TABLE, {"e": str(number % ENTITIES)})
                check(json.loads(item["p"]))

            async def many(number: int) -> None:
                request = BatchGetRequest(keys=[{"e": entity} for entity in hundred(number)])
                answer = await client.batch_get({TABLE: request})
                assert len(answer.items[TABLE]) == BATCH
                for item in answer.items[TABLE]:
                    check(json.loads(item["p"]))

            return await _three(get, many, seconds)

    return asyncio.run(measure())


def feast(url: str, seconds: float) -> dict[str, float]:
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.infra.online_stores.dynamodb import DynamoDBOnlineStoreConfig
    from feast.types import String
    from feast.value_type import ValueType

    folder = Path(tempfile.mkdtemp())
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=DynamoDBOnlineStoreConfig(type="dynamodb", region=REGION, endpoint_url=url),
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="e", join_keys=["e"], value_type=ValueType.STRING)
    rows = pd.DataFrame(
        {
            "e": [str(number) for number in range(ENTITIES)],
            "p": [text(number) for number in range(ENTITIES)],
            "event_timestamp": pd.Timestamp.now(tz="UTC"),
        }
    )
    rows.to_parquet(folder / "rows.parquet")
    source = FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(name="predictions", entities=[entity], schema=[Field(name="p", dtype=String)], source=source)
    store.apply([entity, view])
    store.write_to_online_store("predictions", rows)

    def fetch(entities: list[str]) -> None:
        answer = store.get_online_features(
            features=["predictions:p"], entity_rows=[{"e": entity} for entity in entities]
        ).to_dict()
        for stored in answer["p"]:
            check(json.loads(stored))

    return {
        "get": cpu(lambda number: fetch([str(number % ENTITIES)]), seconds),
        "many": cpu(lambda number: fetch(hundred(number)), seconds),
    }


def fill(url: str) -> None:
    """Create and fill the table every peer but Feast reads (Feast has a table layout of its own)."""
    import boto3

    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=url)
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for start in range(0, ENTITIES, 25):
        puts = [
            {"PutRequest": {"Item": {"e": {"S": str(number)}, "p": {"S": text(number)}}}}
            for number in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={TABLE: puts})


PEERS = {
    "kumo_serving Reader": kumo,
    "kumo_serving AsyncReader": kumo_async,
    "boto3 client": boto3_client,
    "boto3 resource": boto3_resource,
    "aiobotocore": aiobotocore,
    "aiodynamo": aiodynamo,
    "feast": feast,
}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](sys.argv[2], float(sys.argv[3]))))
