"""Marks some rows of a catalogue so that the simulator does not make them as asked.

Usage: gallery-rows.py LISTINGS.csv OUT.csv
"""

import csv
import sys

# By the number of the row, from 0: what the simulator does about it. Failures of a class come together, as they do in life.
MARKS = {
    3: "[[sim:wrong_size*1]]",
    4: "[[sim:moderation_blocked]]",
    7: "[[sim:model_retired*1]]",
    10: "[[sim:bad_gateway_html*1]]",
    13: "[[sim:moderation_blocked]]",
    21: "[[sim:invalid_value]]",
    34: "[[sim:moderation_blocked]]",
    47: "[[sim:invalid_value]]",
    58: "[[sim:bad_gateway_html*1]]",
    71: "[[sim:moderation_blocked]]",
}
# What both the model that is asked and the one that may stand in for it take.
SIZES = ["1024x1024", "1024x1024", "1536x1024", "1024x1536"]


def main():
    listings, out = sys.argv[1:]
    with open(listings, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for number, row in enumerate(rows):
            row.update(model="gpt-image-2", Size=SIZES[number % len(SIZES)], quality="low", STYLE="")
            mark = MARKS.get(number)
            if mark:
                column = "Prompt" if row["Prompt"] else "Notes"
                row[column] = f"{row[column]} {mark}".strip()
            writer.writerow(row)


main()
