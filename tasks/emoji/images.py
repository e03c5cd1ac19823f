"""Put the pictures of the tasks emoji-images and emoji-images-train into one Parquet file.

Get the pictures, 64 x 64 pixels each, and say where they are and where the file is to go:

    npm pack emoji-datasource-google@16.0.0
    tar xzf emoji-datasource-google-16.0.0.tgz
    python tasks/emoji/images.py --pictures package/img/google/64 --tables tasks/emoji \\
        --output tasks/emoji/images.parquet

The tables, made by build.py, say which emoji there are; a picture is named by its code points.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

TABLES = ("names.csv.gz", "train.csv.gz")
ROWS = 128
"""Pictures in a row group, which is what is read at once."""


def emoji_of(folder: Path) -> list[str]:
    """Return the emoji of both tables, by their code points, sorted."""
    found: set[str] = set()
    for name in TABLES:
        with gzip.open(folder / name, "rt", encoding="utf-8", newline="") as file:
            found |= {row["emoji"] for row in csv.DictReader(file)}
    return sorted(found)


def main() -> None:
    """Write the Parquet file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("pictures", "tables", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    emoji = emoji_of(given.tables)
    pictures = [(given.pictures / f"{each}.png").read_bytes() for each in emoji]
    schema = pa.schema([("emoji", pa.string()), ("picture", pa.binary())])
    table = pa.Table.from_arrays([pa.array(emoji), pa.array(pictures, pa.binary())], schema=schema)
    parquet.write_table(table, given.output, row_group_size=ROWS, compression="none",
                        use_dictionary=False, write_statistics=False)  # fmt: skip
    print(f"{given.output}: {len(emoji):,} pictures, {given.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
