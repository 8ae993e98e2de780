"""Constraints on U with exact gradients, and initial weights; arrays only.

A parametrization is U as a function of free parameters that any optimizer may move::

    U, pull = rd.parametrize.cayley(free)     # the matrix, and the map from dL/dU to dL/dfree
    free = rd.parametrize.cayley.sample(64)   # drawn, by the name of an initialization if wanted
    rd.parametrize.cayley.check(U)            # how far U is from the set: 0 up to rounding

Each class below has these three verbs; under its name in lower case stands the one with its default options. In
training, ``rd.nn.Model(..., parametrize=rd.parametrize.cayley)`` computes U once a call.
"""

from . import initialize
from .block_triangular import BlockTriangular, block_triangular
from .cayley_transform import Cayley, cayley
from .contract import Parametrization
from .exponential_map import Exponential, Trivialization, exponential, trivialization
from .penalty import orthogonality_penalty
from .polar_projection import Polar, polar
from .reflections import Householder, householder
from .rotations import EUNN, Givens, eunn, givens
from .spectrum import AlmostOrthogonal, Schur, SpectralNorm, almost_orthogonal, schur, spectral_norm
from .symmetry import Antisymmetric, SymmetricAntisymmetric, antisymmetric, symmetric_antisymmetric
from .unitary import UnitaryCayley, UnitaryProduct, unitary_cayley, unitary_product

NAMED: dict[str, Parametrization] = {
    "cayley": cayley,
    "exponential": exponential,
    "trivialization": trivialization,
    "householder": householder,
    "givens": givens,
    "polar": polar,
    "unitary_cayley": unitary_cayley,
    "unitary_product": unitary_product,
    "eunn": eunn,
    "almost_orthogonal": almost_orthogonal,
    "spectral_norm": spectral_norm,
    "schur": schur,
    "antisymmetric": antisymmetric,
    "symmetric_antisymmetric": symmetric_antisymmetric,
    "block_triangular": block_triangular,
}

__all__ = [
    "NAMED", "AlmostOrthogonal", "Antisymmetric", "BlockTriangular", "Cayley", "EUNN", "Exponential", "Givens",
    "Householder", "Parametrization", "Polar", "Schur", "SpectralNorm", "SymmetricAntisymmetric", "Trivialization",
    "UnitaryCayley", "UnitaryProduct", "almost_orthogonal", "antisymmetric", "block_triangular", "cayley", "eunn",
    "exponential", "givens", "householder", "initialize", "orthogonality_penalty", "polar", "schur", "spectral_norm",
    "symmetric_antisymmetric", "trivialization", "unitary_cayley", "unitary_product",
]  # fmt: skip
