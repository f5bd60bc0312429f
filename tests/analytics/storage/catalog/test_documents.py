"""Schemas, the semantic model and source offsets: saved whole, versioned, read back equal."""

from __future__ import annotations

import pytest

from tenancy.analytics.errors import StaleOwnerError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.catalog import TenantCatalog
from tenancy.analytics.types import DatasetKind


def test_datasets_are_listed_in_order_of_name(rows: TenantCatalog) -> None:
    epoch = rows.raise_epoch()
    songs = DatasetSchema(name="songs", kind=DatasetKind.DIMENSION, key="song_id")
    plays = DatasetSchema(name="plays", fields={"x": FieldSpec(type=FieldType.STRING, pattern="a\x00?", minimum=0.0)})
    for schema in (songs, plays):
        rows.save_dataset(schema, epoch)
    assert rows.datasets() == [plays, songs]
    assert (rows.dataset("songs"), rows.dataset("absent")) == (songs, None)


def test_a_schema_gets_a_version_for_each_change_and_none_for_saving_it_again(rows: TenantCatalog) -> None:
    epoch = rows.raise_epoch()
    plays = DatasetSchema(name="plays")
    grown = plays.with_fields({"genre": FieldSpec(type=FieldType.STRING)})
    versions = [rows.dataset_version("plays")]
    for schema in (plays, plays, grown, grown):
        rows.save_dataset(schema, epoch)
        versions.append(rows.dataset_version("plays"))
    assert versions == [0, 1, 1, 2, 2]
    assert rows.dataset("plays") == grown


def test_a_model_gets_a_version_for_each_change(rows: TenantCatalog) -> None:
    assert (rows.model(), rows.model_version()) == (None, 0)
    epoch = rows.raise_epoch()
    assert [rows.save_model(text, epoch) for text in ("a: 1", "a: 1", "a: 2", "a: 1")] == [1, 1, 2, 3]
    assert (rows.model(), rows.model_version()) == ("a: 1", 3)


def test_an_owner_that_was_replaced_leaves_the_model_of_the_next_one(rows: TenantCatalog) -> None:
    old, new = rows.raise_epoch(), rows.raise_epoch()
    rows.save_model("a: 1", new)
    with pytest.raises(StaleOwnerError):
        rows.save_model("a: 2", old)
    assert (rows.model(), rows.model_version()) == ("a: 1", 1)


def test_a_source_goes_on_where_it_was_last_saved(rows: TenantCatalog) -> None:
    assert rows.source_offset("s3://bucket/a") is None
    for offset in ("17", "18"):
        rows.save_source_offset("s3://bucket/a", offset)
    rows.save_source_offset("s3://bucket/b", "1")
    assert rows.source_offset("s3://bucket/a") == "18"
