"""Run inside an environment of the vendor's SDK: what `sources["name"]` of a training.py is, for each connector named.

Takes the URL, the key, the path of sdk_program.py, a group (or nothing) and the names. Prints one JSON document.
"""

import importlib.util
import json
import sys

import kumoai

if __name__ == "__main__":
    url, key, program, group, *names = sys.argv[1:]
    kumoai.init(url=url, api_key=key, log_level="ERROR", **({"group": group} if group else {}))
    spec = importlib.util.spec_from_file_location("sdk_program", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {name: type(module.Sources(None)[name]).__name__ for name in names}
    try:
        module.Sources(None)["nowhere"]
    except ValueError as error:
        found["nowhere"] = str(error)
    print("REPORT " + json.dumps(found))
