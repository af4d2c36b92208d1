"""The benchmark's rows in PyTorch, on CUDA where it is there: float32 strict, TF32, and deterministic algorithms.

    python3 torch_rows.py ROWS.json OUT.json [--quick]

OUT.json is written anew after each row. A row or a mode that fails has the error in place of its time.
"""
import json
import os
import statistics
import sys
import time

os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
rows_file, out_file = sys.argv[1:3]
quick = '--quick' in sys.argv[3:]
report = {'available': False, 'note': '', 'rows': []}


def save():
    with open(out_file + '.tmp', 'w') as file:
        json.dump(report, file, indent=1)
    os.replace(out_file + '.tmp', out_file)


def message(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


try:
    import torch
except Exception as error:  # absent, or built for other libraries
    report['note'] = 'PyTorch cannot be imported (%s)' % message(error)
    save()
    sys.exit(0)

cuda = torch.cuda.is_available()
device = torch.device('cuda' if cuda else 'cpu')
if not cuda:  # some builds begin with one thread
    torch.set_num_threads(len(os.sched_getaffinity(0)))
report.update(available=True, note='PyTorch %s, CUDA %s, cuDNN %s' % (
    torch.__version__, torch.version.cuda, torch.backends.cudnn.version()),
    device=torch.cuda.get_device_name(0) if cuda else 'the CPU, %d threads' % torch.get_num_threads())
save()


def set_mode(mode):
    torch.backends.cuda.matmul.allow_tf32 = mode == 'tf32'
    torch.backends.cudnn.allow_tf32 = mode == 'tf32'
    torch.backends.cudnn.benchmark = mode != 'deterministic'
    torch.use_deterministic_algorithms(mode == 'deterministic')


def synchronize():
    if cuda:
        torch.cuda.synchronize()


def run_for(compute, turns):
    """Milliseconds of a turn: by events on the device, else by the clock."""
    if cuda:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(turns):
            compute()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / turns
    start = time.perf_counter()
    for _ in range(turns):
        compute()
    return (time.perf_counter() - start) * 1e3 / turns


def best(compute, repetitions=7, wall=False):
    """As rcnn bench: warmed up, at least 4 ms at a time, the best counts; `wall`: each turn is waited for."""
    for _ in range(3 if cuda else 1):
        compute()
    synchronize()
    if wall:
        times = []
        for _ in range(repetitions):
            start = time.perf_counter()
            compute()
            synchronize()
            times.append((time.perf_counter() - start) * 1e3)
        return min(times)
    once = run_for(compute, 1)
    turns = max(1, min(64, int(4 / max(once, 1e-3))))
    return min(run_for(compute, turns) for _ in range(repetitions))


def random(*shape):
    return torch.rand(*shape, device=device) * 2 - 1


def convolution(row):
    x, w = random(1, row['C'], row['H'], row['W']), random(row['K'], row['C'], row['side'], row['side'])
    stride, pad = [row['stride']] * 2, [row['pad']] * 2
    if row['pass'] == 'forward':
        return lambda: torch.nn.functional.conv2d(x, w, None, stride, pad)
    dy = torch.rand_like(torch.nn.functional.conv2d(x, w, None, stride, pad))
    mask = [row['pass'] == 'input gradient', row['pass'] == 'filter gradient', False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, stride, pad, [1, 1], False, [0, 0], 1, mask)


def product(row):
    a, b = random(row['n'], row['n']), random(row['n'], row['n'])
    return lambda: a @ b.t()


def detector(network, height, width):
    import torchvision
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.rpn import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    if network == 'VGG-16':
        features = torchvision.models.vgg16().features[:-1]
        frozen, hidden = features[:10], 4096  # conv1 and conv2, as the paper does
    else:
        features = torchvision.models.squeezenet1_1().features
        frozen, hidden = features[:6], 1024
    for parameter in frozen.parameters():
        parameter.requires_grad = False
    features.out_channels = 512
    head = torchvision.models.detection.faster_rcnn.TwoMLPHead(512 * 7 * 7, hidden)
    predictor = torchvision.models.detection.faster_rcnn.FastRCNNPredictor(hidden, 21)
    return FasterRCNN(
        features, None, rpn_anchor_generator=AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(['0'], 7, 2), box_head=head, box_predictor=predictor,
        min_size=min(height, width), max_size=1000, rpn_pre_nms_top_n_train=12000, rpn_post_nms_top_n_train=2000,
        rpn_pre_nms_top_n_test=6000, rpn_post_nms_top_n_test=300, box_batch_size_per_image=128).to(device)


def detection(row):
    model = detector(row['network'], row['height'], row['width']).eval()
    picture = torch.rand(3, row['height'], row['width'], device=device)

    def compute():
        with torch.no_grad():
            model([picture])
    return compute


def step(row):
    model = detector(row['network'], row['height'], row['width']).train()
    picture = torch.rand(3, row['height'], row['width'], device=device)
    target = {'boxes': torch.tensor([[40., 60, 200, 220], [300, 100, 581, 421]], device=device),
              'labels': torch.tensor([1, 2], device=device)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9, weight_decay=5e-4)

    def compute():
        optimizer.zero_grad()
        sum(model([picture], [target]).values()).backward()
        optimizer.step()
    return compute


KINDS = {'convolution': convolution, 'product': product, 'detection': detection, 'step': step}
with open(rows_file) as file:
    rows = json.load(file)
if quick:
    rows = [row for row in rows if row['quick']]
modes = ['strict', 'tf32', 'deterministic'] if cuda else ['strict', 'deterministic']
for mode in modes:
    set_mode(mode)
    for row in rows:
        entry = next((one for one in report['rows'] if one['name'] == row['name']), None)
        if entry is None:
            entry = {'name': row['name'], 'ms': {}}
            report['rows'].append(entry)
        try:
            whole = row['kind'] in ('detection', 'step')
            entry['ms'][mode] = best(KINDS[row['kind']](row), 3 if quick else 7, whole)
        except Exception as error:  # torchvision missing, memory, no deterministic kernel: the row says so
            entry['ms'][mode] = message(error)
        if cuda:
            torch.cuda.empty_cache()
        save()
    print(mode, 'median', statistics.median(
        [one['ms'][mode] for one in report['rows'] if isinstance(one['ms'].get(mode), float)] or [0]), 'ms')
