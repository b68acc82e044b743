"""What setup.cfg cannot say: the compiled kernels, which an installation does without where they cannot be built."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "tfchain.core._native_encoder",  # no Python module: tfchain/core/native.py loads it as a library
            sources=["tfchain/core/native_encoder.c"],
            extra_compile_args=["-O3", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,
        )
    ]
)
