#!/usr/bin/env python
"""What the pages need of curl, for machines that have none: `curl -s URL -X METHOD -H HEADER -d DATA`."""

import argparse
import sys

import httpx

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="curl")
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    options = parser.parse_args()
    answer = httpx.request(
        options.method or ("GET" if options.data is None else "POST"),
        options.url,
        headers=[tuple(header.split(": ", 1)) for header in options.headers],
        content=options.data,
    )
    sys.stdout.write(answer.text)
