"""Examples for documents: a model's own, or a message's fullest sample."""

from typing import Any

from pydantic import BaseModel

from shared.contracts.base import Message


def example_of(model: Any) -> Any:
    """A message shows a sample of it, any other model the first example in its configuration; ``None`` without one."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    if issubclass(model, Message):
        # Reads files, so only when a document is made.
        from shared.contracts.schemas import fullest_sample  # noqa: PLC0415

        return model.model_validate(fullest_sample(model)["data"])
    extra = model.model_config.get("json_schema_extra")
    examples = extra.get("examples") if isinstance(extra, dict) else None
    return examples[0] if isinstance(examples, list) else None
