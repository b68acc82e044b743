"""What setup.cfg cannot say: the compiled kernels, which an installation does without where they cannot be built."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "tfchain.models.engines._kernels",  # a library, which models/native_library.py loads
            sources=[f"tfchain/models/engines/kernels/{name}.c" for name in ("encoder", "search", "threads")],
            depends=sorted(glob("tfchain/models/engines/kernels/*.h")),
            extra_compile_args=["-O3", "-g0", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread", "-s"],
            optional=True,
        )
    ]
)
