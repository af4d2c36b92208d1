"""Singular values of matrices that a formula gives, and how far the best approximation of some rank is from each."""
import numpy as np

SIZES = ((12, 9, 4), (9, 30, 5), (40, 60, 12), (90, 70, 20))


def matrix(rows, columns):
    """The same in float32 in test/engine/truncatedSvd.test.ts."""
    i, j = np.arange(rows)[:, None], np.arange(columns)[None, :]
    return (np.sin(3 * i + 7 * j) + 0.5 * np.cos(i * j) + 1 / (1 + i + j)).astype(np.float32).astype(np.float64)


def make():
    cases = []
    for rows, columns, rank in SIZES:
        a = matrix(rows, columns)
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        best = (u[:, :rank] * s[:rank]) @ vt[:rank]
        error = float(np.linalg.norm(a - best))
        cases.append({'rows': rows, 'columns': columns, 'rank': rank, 'values': s.tolist(), 'error': error,
                      'corner': best[:2, :3].flatten().tolist()})
    return {'made_by': f'numpy {np.__version__}, scripts/make-goldens.py', 'cases': cases}
