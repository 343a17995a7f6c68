"""A recipe as text that reads back to the same recipe."""

import json
from pathlib import Path

from pydantic import BaseModel

from autoif_dagster.ids import digest
from autoif_dagster.recipe.describing import extra_of
from autoif_dagster.recipe.fields import CHECKOUT, Recipe, Threshold


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML that loads to the same object, each field with its meaning."""
    lines: list[str] = []
    _write_section(recipe, "", lines)
    return "\n".join(lines).strip() + "\n"


def recipe_hash(recipe: Recipe) -> str:
    """Twelve hexadecimal digits of every field's value; where the checkout lies makes none."""
    return digest(to_toml(recipe).replace(str(CHECKOUT), ""))[:12]


def _write_section(section: BaseModel, name: str, lines: list[str]) -> None:
    subsections: list[tuple[str, BaseModel]] = []
    if name:
        lines += ["", f"[{name}]"]
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            subsections.append((key, value))
            continue
        extra = extra_of(field)
        notes = "; ".join(filter(None, [extra["unit"], _source(value, field.default, extra)]))
        lines.append(f"# {field.description} ({notes})")
        lines.append(f"{'# ' if value is None else ''}{key} = {_toml_value(value)}")
    for key, subsection in subsections:
        _write_section(subsection, key, lines)


def _source(value: object, default: object, extra: dict[str, str]) -> str:
    """Where a value comes from. A field's source speaks for its default alone."""
    if value == default or isinstance(default, Path):
        return f"source: {extra['source']}"
    return f"default: {_toml_value(default) or 'unset'}, source of that: {extra['source']}"


def _toml_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        members = (f"{json.dumps(key)} = {_toml_value(of)}" for key, of in value.items())
        return f"{{ {', '.join(members)} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Threshold):
        return json.dumps(str(value)) if value.strict else repr(float(value))
    if isinstance(value, (int, float)):
        return repr(value)
    # JSON's escapes are TOML's, but for the one control character that JSON leaves alone.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
