"""What setup.cfg cannot say: the compiled kernels, which an installation does without where they cannot be built."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "tfchain.core._kernels",  # no Python module: tfchain/core/native.py loads it as a library
            sources=["tfchain/core/kernels/encoder.c", "tfchain/core/kernels/threads.c"],
            depends=sorted(glob("tfchain/core/kernels/*.h")),
            extra_compile_args=["-O3", "-g0", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread", "-s"],
            optional=True,
        )
    ]
)
