"""Small networks as ONNX files, by PyTorch's exporter and with onnx's own helpers, as base64 by name, and their weights."""
import base64
import io

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper


def encoded(model):
    return base64.b64encode(model.SerializeToString()).decode()


def graph(weights, convolution, product, external=False):
    """A convolution, then a product, with these initializers."""
    x = helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 1, 3, 3])
    y = helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 3])
    nodes = [
        helper.make_node('Conv', ['x', *convolution], ['a'], kernel_shape=[3, 3]),
        helper.make_node('Flatten', ['a'], ['b']),
        helper.make_node(product[0], ['b', *product[1]], ['y'], **product[2]),
    ]
    model = helper.make_model(helper.make_graph(nodes, 'g', [x], [y], weights), opset_imports=[helper.make_opsetid('', 13)])
    if external:
        for tensor in model.graph.initializer:
            onnx.external_data_helper.set_external_data(tensor, 'weights.bin')
    return encoded(model)


def make():
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2, 3))
    buffer, shared = io.BytesIO(), io.BytesIO()
    torch.onnx.export(network, torch.zeros(1, 1, 3, 3), buffer)
    equal = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    for layer in equal:
        torch.nn.init.zeros_(layer.bias)
    torch.onnx.export(equal, torch.zeros(1, 2), shared)
    conv, linear = network[0], network[2]
    w, b, fc = (p.detach().numpy() for p in (conv.weight, conv.bias, linear.weight))

    def listed(name, values, kind=TensorProto.FLOAT):
        return helper.make_tensor(name, kind, values.shape, values.flatten().tolist())

    halves = [helper.make_tensor('193', TensorProto.FLOAT16, w.shape, w.astype(np.float16).flatten())]
    files = {
        'exported': base64.b64encode(buffer.getvalue()).decode(),
        'shared': base64.b64encode(shared.getvalue()).decode(),
        'listed': graph([listed('193', w), listed('194', b), listed('196', fc.T)], ['193', '194'], ('MatMul', ['196'], {})),
        'gemm': graph([listed('w', w), listed('b', b), listed('fc', fc.T)], ['w', 'b'], ('Gemm', ['fc'], {'transB': 0})),
        'doubles': graph([listed('193', w.astype(np.float64), TensorProto.DOUBLE), listed('196', fc)], ['193'], ('Gemm', ['196'], {'transB': 1})),
        'halves': graph([*halves, numpy_helper.from_array(fc, '196')], ['193'], ('Gemm', ['196'], {'transB': 1})),
        'external': graph([numpy_helper.from_array(w, '193'), numpy_helper.from_array(fc, '196')], ['193'], ('Gemm', ['196'], {'transB': 1}), True),
        'no weights': graph([], ['193'], ('Gemm', ['196'], {'transB': 1})),
    }
    return {'files': files, 'expected': {'weight': w.flatten().tolist(), 'bias': b.tolist(), 'fc': fc.flatten().tolist()}}
