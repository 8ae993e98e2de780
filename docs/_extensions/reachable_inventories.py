"""Link to other projects' documentation where their inventories can be reached, silently not where not."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)


def find_inventories(app: Sphinx, config: Config) -> None:
    """Fill ``intersphinx_mapping`` with the inventories that are on disk or answer within seconds."""
    folder = Path(app.doctreedir) / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    online = True
    for name, address in config.reachable_inventories.items():
        local = folder / f"{name}.inv"
        if online and not local.exists():
            try:
                with urllib.request.urlopen(f"{address}objects.inv", timeout=4) as answer:
                    local.write_bytes(answer.read())
            except OSError:
                online = False  # one attempt is enough to know
        if local.exists():
            config.intersphinx_mapping[name] = (address, str(local))
        else:
            logger.info("no inventory of %s: its links are left out", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the configuration value and run before intersphinx reads its own."""
    app.add_config_value("reachable_inventories", {}, "env", types=[dict])
    app.connect("config-inited", find_inventories, priority=100)
    return {"parallel_read_safe": True}
