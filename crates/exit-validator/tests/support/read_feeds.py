"""Reads Atom feeds as a reader of news does, and prints what it understood, as JSON."""

import json
import sys

import feedparser

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        feed = feedparser.parse(file, response_headers={"content-type": "application/atom+xml"})
    print(
        json.dumps(
            {
                "fault": str(feed.bozo_exception) if feed.bozo else None,
                "version": feed.version,
                "id": feed.feed.id,
                "title": feed.feed.title,
                "entries": [
                    {
                        "id": entry.id,
                        "title": entry.title,
                        "updated": entry.updated_parsed is not None,
                        "link": entry.get("link"),
                        "types": [entry.title_detail.type, entry.content[0].type],
                        "text": entry.content[0].value,
                    }
                    for entry in feed.entries
                ],
            }
        )
    )
