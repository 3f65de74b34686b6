#!/usr/bin/env python3
"""A stage for `ingest` in Python, built into a shared object by cffi's embedding.

usage: lengths.py OUTPUT.so

    tools/samples/plugins/lengths.py /tmp/liblengths.so
    ingest --parse lines --stage '/tmp/liblengths.so?most=80' ...

Lets go of records longer than most=N bytes as far as their first piece tells, and prints how many
records of which length it saw. Python runs inside ingest, one instance for each receiving thread,
one thread at a time (the interpreter's lock): for looking into a stream, not for its full speed.

Needs cffi and the headers of Python (Debian: python3-cffi, python3-dev).
"""
import os
import re
import sys

import cffi

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(HERE, "../../../Sources/CIngestStage/include/ingest_stage.h")

# Runs inside ingest, when the shared object is first called.
STAGE = r'''
import collections
from lengths_stage import ffi, lib

names = {"name": ffi.new("char[]", b"lengths")}
instances = {}


class Lengths:
    def __init__(self, options):
        found = dict(part.partition("=")[::2] for part in options.split(",") if part)
        self.most = int(found.pop("most", 1 << 40))
        if found:
            raise ValueError(f"there is no option {sorted(found)[0]}; only most=N")
        self.seen = collections.Counter()
        self.dropped = 0

    def take(self, piece, answer):
        if piece.flags & lib.INGEST_STAGE_FIRST and piece.length > self.most:
            answer.kind = lib.INGEST_STAGE_DROP
            self.dropped += 1
        if piece.flags == lib.INGEST_STAGE_FIRST | lib.INGEST_STAGE_LAST:
            # The payload itself is ffi.buffer(piece.payload, piece.length).
            self.seen[len(ffi.buffer(piece.payload, piece.length))] += 1


def say(sentence, text, size):
    raw = sentence.encode()[: size - 1] + b"\0"
    ffi.memmove(text, raw, len(raw))


@ffi.def_extern()
def stage_create(host, options, instance, error, error_size):
    try:
        stage = Lengths(ffi.string(options).decode())
    except ValueError as reason:
        say(str(reason), error, error_size)
        return 1
    handle = ffi.new_handle(stage)
    instances[handle] = stage
    instance[0] = handle
    return 0


@ffi.def_extern()
def stage_take(instance, batch):
    stage = ffi.from_handle(instance)
    for index in range(batch.count):
        # The struct sizes are the ones this was built with: version 1 has no other.
        stage.take(batch.pieces[index], batch.answers[index])


@ffi.def_extern()
def stage_destroy(instance):
    stage = instances.pop(instance)
    text = ", ".join(f"{count} of {length}" for length, count in sorted(stage.seen.items()))
    import sys
    print(f"lengths: {text}; {stage.dropped} dropped", file=sys.stderr, flush=True)


@ffi.def_extern()
def ingest_stage_entry(host_version):
    table = ffi.new("ingest_stage_table *")
    table.size = ffi.sizeof("ingest_stage_table")
    table.version = lib.INGEST_STAGE_VERSION
    table.flags = lib.INGEST_STAGE_READS_PAYLOAD
    table.name = names["name"]
    table.create = lib.stage_create
    table.take = lib.stage_take
    table.destroy = lib.stage_destroy
    names["table"] = table
    return table
'''

CALLBACKS = '''
extern "Python" {
int stage_create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                 size_t error_size);
void stage_take(void *instance, const ingest_stage_batch *batch);
void stage_destroy(void *instance);
}
'''

# Modules of Python look for its symbols in the whole process, where ingest keeps them apart.
SOURCE = r'''
#include <dlfcn.h>
#include "ingest_stage.h"

__attribute__((constructor)) static void show_python(void) {
  Dl_info found;
  if (dladdr((void *)Py_Initialize, &found)) {
    dlopen(found.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  }
}
'''


def declarations(header):
    """The types and numbers of ingest_stage.h, as cffi reads C."""
    text = re.sub(r"//[^\n]*", "", header)
    types = re.findall(r"^(?:typedef struct \w+ \{.*?^\} \w+;|enum \{.*?^\};)", text, re.M | re.S)
    numbers = re.findall(r"^#define (INGEST_STAGE_(?:VERSION|READS_PAYLOAD)) ", text, re.M)
    return "\n".join([*types, *(f"#define {name} ..." for name in numbers), CALLBACKS])


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    with open(HEADER) as file:
        header = file.read()
    builder = cffi.FFI()
    builder.cdef(declarations(header))
    builder.embedding_api("const ingest_stage_table *ingest_stage_entry(uint32_t host_version);")
    builder.set_source("lengths_stage", SOURCE, define_macros=[("_GNU_SOURCE", None)],
                       include_dirs=[os.path.dirname(os.path.abspath(HEADER))])
    builder.embedding_init_code(STAGE)
    output = os.path.abspath(sys.argv[1])
    builder.compile(target=output, tmpdir=os.path.dirname(output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
