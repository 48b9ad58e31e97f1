"""`/api/models`."""

from pathlib import Path

import pytest

from assay.catalog import api
from assay.catalog.config import parse_config
from assay.catalog.local import open_catalog
from assay.catalog.weights import pull
from assay.errors import NotFound
from assay.kit import json

TEXT = """
[providers.o]
type = "openai"
[providers.elsewhere]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
[models.fast]
route = [{ provider = "o", model = "gpt-4o-mini" }, { provider = "elsewhere", model = "m", weight = 0.5 }]
fallback = ["tuned"]
[models.tuned]
route = [{ provider = "elsewhere", model = "t" }]
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.2 }
"""


def test_the_list_shows_where_a_model_leads_and_what_each_route_costs(tmp_path: Path) -> None:
    source = tmp_path / "Tiny.gguf"
    source.write_bytes(b"GGUF and more")
    pull(f"file:{source}", tmp_path / "models")
    page = api.list_all.fn(open_catalog(parse_config(TEXT), tmp_path))
    fast, tuned, tiny = json.decode(json.encode(page))["items"]
    assert [model["name"] for model in (fast, tuned, tiny)] == ["fast", "tuned", "tiny"]
    assert [route["type"] for route in fast["route"]] == ["openai", "openai"]
    assert float(fast["route"][0]["price"]["input_usd_per_mtok"]) == 0.15
    assert fast["route"][0]["price"]["source"] == "table"
    assert fast["route"][1]["price"] is None
    assert tuned["route"][0]["price"]["source"] == "configured"
    assert tuned["route"][0]["price"]["cached_input_usd_per_mtok"] is None
    assert tiny["route"][0]["price"]["id"] == "local"
    assert tiny["weights"]["sha256"]


def test_a_model_that_is_not_there_is_said_with_the_nearest(tmp_path: Path) -> None:
    catalog = open_catalog(parse_config(TEXT), tmp_path)
    shown = json.decode(json.encode(api.show.fn("fast", catalog)))
    assert shown["fallback"] == ["tuned"]
    with pytest.raises(NotFound) as caught:
        api.show.fn("fats", catalog)
    assert caught.value.hint == "Did you mean 'fast'?"
