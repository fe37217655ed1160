"""Under pytest, the shapes that the numerical rooms state are enforced (jaxtyping's hook in pyproject.toml)."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from svdlens.evaluation.label_tests import row_areas
from svdlens.labels.coherence.nulls import q_values_of_controls
from svdlens.readout.top_tokens import scores_of
from svdlens.svd.matrix_svd import decompose_product
from svdlens.vocabulary.list_similarity import token_vectors


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (decompose_product, (torch.ones(3, 2), torch.ones(4, 3), None)),  # 2 is not 4
        (scores_of, (np.ones((5, 3)), np.ones(2))),
        (token_vectors, (np.ones((5, 3)), np.ones(3), np.ones(4))),
        (q_values_of_controls, (np.ones(2), np.ones(5), np.ones(4))),
        (row_areas, (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)))),  # the last says which are used: no floats
    ],
)
def test_a_wrong_shape_or_type_is_refused(function, arguments) -> None:
    with pytest.raises(TypeCheckError):
        function(*arguments)
