"""forgeline: raw data in, an evidenced model release out."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from forgeline.engine.recording import ledger, recording
    from forgeline.session import Run, assess, run

__all__ = ["Run", "__version__", "assess", "ledger", "recording", "run"]


def __getattr__(name: str) -> Any:
    """`fl.run` and friends, imported when first asked for: `import forgeline` stays light."""
    if name in ("Run", "assess", "run"):
        from forgeline import session

        return getattr(session, name)
    if name in ("ledger", "recording"):
        import importlib

        return getattr(importlib.import_module("forgeline.engine.recording"), name)
    raise AttributeError(f"module forgeline has no {name}")
