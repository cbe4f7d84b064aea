"""A bundle: what export owes the runtime."""

from emorec_rt.bundle.folder import DEFAULT_FOLDER, Bundle, open_bundle, sha256_of

__all__ = ["DEFAULT_FOLDER", "Bundle", "open_bundle", "sha256_of"]
