"""The published contract of a channel: it does not change unnoticed, and it is what the code does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from tests.cli.program import ROOT, tutti
from tutti.channels.contracts import breaks, contract_models, contract_schema, contract_schemas, written

FOLDER = ROOT / "docs" / "contracts"
NAMES = sorted(contract_models())


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.example.json").read_text())
    return found


def touch_schema() -> dict[str, Any]:
    return copy.deepcopy(contract_schemas()["touch.schema.json"])


def test_the_published_schemas_are_those_of_the_code() -> None:
    kept = {file.name: file.read_text("utf-8") for file in FOLDER.glob("*.schema.json")}
    made = {name: written(schema) for name, schema in contract_schemas().items()}

    assert kept == made, "the contract has changed: run `tutti channel schema` and read what it says"


def test_nothing_that_was_promised_is_broken() -> None:
    broken = [
        f"{name}: {sentence}"
        for name, schema in contract_schemas().items()
        for sentence in breaks(json.loads((FOLDER / name).read_text()), schema)
    ]

    assert broken == []


def test_every_field_of_the_contract_is_explained() -> None:
    silent = [
        f"{name}: {part}.{key}"
        for name, schema in contract_schemas().items()
        for part, content in {"": schema, **schema.get("$defs", {})}.items()
        for key, field in content.get("properties", {}).items()
        if not field.get("description")
    ]

    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_the_example_fits_the_schema_and_the_model(name: str) -> None:
    validator(name).validate(example(name))

    contract_models()[name].model_validate_json((FOLDER / f"{name}.example.json").read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_what_the_model_writes_fits_the_schema(name: str) -> None:
    model = contract_models()[name].model_validate(example(name))

    validator(name).validate(model.model_dump(mode="json"))


@pytest.mark.parametrize("name", NAMES)
def test_schema_and_model_refuse_the_same_missing_field(name: str) -> None:
    for field in validator(name).schema["required"]:
        without = {key: value for key, value in example(name).items() if key != field}

        assert not validator(name).is_valid(without)
        with pytest.raises(ValidationError):
            contract_models()[name].model_validate(without)


@pytest.mark.parametrize("part", [(), ("recipient",), ("play",)])
def test_a_touch_may_carry_what_a_later_version_adds(part: tuple[str, ...]) -> None:
    touch = example("touch")
    inner = touch
    for key in part:
        inner = inner[key]
    inner["from_a_later_version"] = 1

    validator("touch").validate(touch)
    contract_models()["touch"].model_validate(touch)


def _without(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = schema
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"additionalProperties": False}


def _with(schema: dict[str, Any], value: object, *path: str) -> dict[str, Any]:
    inner = schema
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return schema


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (_without(touch_schema(), "properties", "text"), "the field text is gone"),
        (
            _without(touch_schema(), "$defs", "Recipient", "properties", "email"),
            "the field recipient.email is gone",
        ),
        (_with(touch_schema(), ["html"], "required"), "the field html is newly required"),
        (
            _with(touch_schema(), ["name", "contact_id", "email"], "$defs", "Recipient", "required"),
            "the field recipient.email is newly required",
        ),
        (_with(touch_schema(), {"type": "integer"}, "properties", "text"), "text is no longer string"),
        (
            _with(touch_schema(), {"anyOf": [{"type": "string"}, {"type": "null"}]}, "properties", "text"),
            "text may now be null",
        ),
        (_with(touch_schema(), 10, "properties", "text", "maxLength"), "text is shorter or smaller"),
        (_with(touch_schema(), "^x", "properties", "policy_digest", "pattern"), "has another pattern"),
        (_closed(touch_schema()), "no longer takes unknown fields"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_that_breaks_workers_is_told_in_a_sentence(changed: dict[str, Any], sentence: str) -> None:
    assert any(sentence in each for each in breaks(touch_schema(), changed))


def test_a_word_that_is_taken_away_from_a_list_breaks_workers() -> None:
    receipt = contract_schema(contract_models()["receipt"])
    fewer = copy.deepcopy(receipt)
    fewer["$defs"]["ReceiptStatus"]["enum"].remove("blocked")

    assert breaks(receipt, fewer) == [
        "status no longer knows blocked: workers that say it are refused",
    ]


def test_a_new_field_that_may_be_left_out_breaks_nobody() -> None:
    new = touch_schema()
    new["properties"]["language"] = {"type": "string", "default": "en"}

    assert breaks(touch_schema(), new) == []


async def test_the_command_writes_what_is_published(tmp_path: Path) -> None:
    done = await tutti("channel", "schema", "--out", "made", cwd=tmp_path)

    assert done.code == 0, done.err
    made = {file.name: file.read_bytes() for file in (tmp_path / "made").iterdir()}
    assert made == {file.name: file.read_bytes() for file in FOLDER.glob("*.schema.json")}


async def test_the_command_refuses_to_break_a_promise_unless_it_is_told_to(tmp_path: Path) -> None:
    promised = touch_schema()
    promised["properties"]["fax"] = {"type": "string"}
    file = tmp_path / "touch.schema.json"
    file.write_text(written(promised))

    refused = await tutti("channel", "schema", "--out", ".", cwd=tmp_path)
    assert refused.code == 1
    assert "touch.schema.json: the field fax is gone" in refused.err
    assert "--break-contract" in refused.err
    assert json.loads(file.read_text()) == promised

    forced = await tutti("channel", "schema", "--out", ".", "--break-contract", cwd=tmp_path)
    assert forced.code == 0
    assert json.loads(file.read_text()) == touch_schema()
