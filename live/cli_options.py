"""Options that several commands share: each is declared once, with what it sets in the configuration."""

from __future__ import annotations

import typer

__all__ = ["AS_JSON", "BACKBONE", "CONFIG", "DOMAIN", "GALLERY", "SETTINGS", "TRACKER", "matching_options"]

CONFIG = typer.Option("--config", "-c", metavar="FILE", help="TOML file with settings; see configs/.")
SETTINGS = typer.Option(
    "--set", metavar="KEY=VALUE", help="One setting, e.g. motion.smoothing=0.7. Repeat for more. Options win over it."
)
TRACKER = typer.Option(
    "--tracker",
    metavar="KIND",
    help="auto, landmarker, facemesh; matching for a driver that is no human: a dog, a puppet, a drawing.",
)
GALLERY = typer.Option("--gallery", metavar="SPEC", help="Of the diffusion matcher: built-in, a file, or a name.")
BACKBONE = typer.Option(
    "--backbone", metavar="NAME", help="Of the diffusion matcher: sd15-ip (the paper's) or sd21-plain."
)
DOMAIN = typer.Option("--domain", metavar="NAME", help="Of the gallery, e.g. animal, or eyes=anime,mouth=animal.")
AS_JSON = typer.Option("--json", help="Print JSON instead of text.")


def matching_options(
    backbone: str | None, gallery: str | None = None, domain: str | None = None, tracker: str | None = None
) -> dict[str, object]:
    """Keys of the configuration for what was given to the matcher; None is not given."""
    return {
        "tracker.kind": tracker,
        "matching.backbone": backbone,
        "matching.gallery": gallery,
        "matching.domain": domain,
    }
