/**
 * The drawing surface: shows a picture with its boxes, and turns what mouse, pen, fingers and arrow keys do there into edits. It
 * keeps no labels of its own; whoever listens changes the project and calls `show` again.
 */
import { drawTabs } from '../boxes.ts';
import { colour, onColours } from '../dom.ts';
import type { Drawable } from '../pictures.ts';
import {
  areaOf,
  boxBetween,
  dragged,
  fittingView,
  type Handle,
  handleAt,
  panned,
  type Point,
  type Size,
  toPicture,
  type View,
  zoomed,
} from './geometry.ts';
import type { Edges } from './project.ts';

/** A box as it is drawn. */
export interface DrawnBox extends Edges {
  id: number;
  name: string;
  colour: string;
  /** It is only proposed: a click accepts it. */
  proposed: boolean;
}

export interface Scene {
  /** The picture at any resolution; until it is decoded, its thumbnail or nothing. */
  image: Drawable | HTMLImageElement | undefined;
  size: Size;
  boxes: readonly DrawnBox[];
  selected: number | undefined;
  /** The colour of a box that is being drawn. */
  pen: string;
}

export interface SurfaceListener {
  /** A box was drawn. */
  drawn(edges: Edges): void;
  /** A box was moved or resized; by keys, in small steps that belong together. */
  changed(id: number, edges: Edges, byKey: boolean): void;
  selected(id: number | undefined): void;
  accepted(id: number): void;
}

/** A pointer that moves less, in pixels of the page, clicks. */
const CLICK = 4;
/** How near to an edge a pointer takes hold of it, in pixels of the page. */
const REACH: Readonly<Record<string, number>> = { mouse: 6, pen: 10, touch: 16 };
const GRIP = 8;
/** The step of the arrow keys, in pixels of the page. */
const KEY_STEP = 8;

type Action =
  | { kind: 'pan'; last: Point }
  | { kind: 'draw'; from: Point; edges?: Edges }
  | { kind: 'drag'; id: number; handle: Handle; from: Point; before: Edges; edges: Edges }
  | { kind: 'pinch'; distance: number; middle: Point };

export class Surface {
  private readonly canvas: HTMLCanvasElement;
  private readonly listener: SurfaceListener;
  private scene: Scene | undefined;
  private view: View = { scale: 1, x: 0, y: 0 };
  /** Whether the whole picture is shown, which it stays when the surface changes its size. */
  private fits = true;
  private readonly pointers = new Map<number, Point>();
  private action: Action | undefined;
  private began: Point = { x: 0, y: 0 };
  private spaceHeld = false;
  private waiting = 0;

  constructor(canvas: HTMLCanvasElement, listener: SurfaceListener) {
    this.canvas = canvas;
    this.listener = listener;
    canvas.onpointerdown = (event) => this.down(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = (event) => this.up(event, true);
    canvas.onpointercancel = (event) => this.up(event, false);
    canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    canvas.onkeyup = ({ key }) => key === ' ' && (this.spaceHeld = false);
    canvas.onblur = () => (this.spaceHeld = false);
    new ResizeObserver(() => {
      if (this.fits) this.fit();
      this.redraw();
    }).observe(canvas);
    onColours(() => this.redraw());
  }

  /** Shows something; a picture of another size is shown whole. */
  show(scene: Scene, another: boolean): void {
    this.scene = scene;
    const { action } = this;
    // A key may have removed the box that a pointer drags.
    if (action?.kind === 'drag' && !scene.boxes.some(({ id }) => id === action.id)) this.action = undefined;
    if (another) {
      this.action = undefined;
      this.fit();
    }
    this.redraw();
  }

  /** Shows the whole picture. */
  fit(): void {
    this.fits = true;
    if (this.scene) this.view = fittingView(this.scene.size, this.size);
    this.redraw();
  }

  /** Zooms at a point of the surface, by default its middle. */
  zoom(factor: number, at: Point = { x: this.size.width / 2, y: this.size.height / 2 }): void {
    if (!this.scene) return;
    this.fits = false;
    this.view = zoomed(this.view, factor, at, this.scene.size, this.size);
    this.redraw();
  }

  /** The part of the picture that is in sight. */
  get sight(): Edges {
    const size = this.scene!.size;
    return boxBetween(
      toPicture(this.view, { x: 0, y: 0 }),
      toPicture(this.view, { x: this.size.width, y: this.size.height }),
      size,
    );
  }

  /** What a key does to the view or to the selected box; false if it does nothing here. */
  key(event: KeyboardEvent): boolean {
    const { key } = event;
    if (key === '+' || key === '=') this.zoom(1.25);
    else if (key === '-') this.zoom(1 / 1.25);
    else if (key === '0') this.fit();
    else if (key === ' ') this.spaceHeld = true;
    else if (key in ARROWS) this.arrow(event);
    else return false;
    return true;
  }

  private arrow({ key, shiftKey, altKey }: KeyboardEvent): void {
    const [dx, dy] = ARROWS[key as keyof typeof ARROWS];
    const box = this.scene?.boxes.find(({ id }) => id === this.scene!.selected);
    if (!this.scene) return;
    if (!box || box.proposed) return this.pan(-dx * 5 * KEY_STEP, -dy * 5 * KEY_STEP);
    const step = altKey ? 1 : Math.max(1, Math.round(KEY_STEP / this.view.scale));
    this.listener.changed(box.id, dragged(box, shiftKey ? 'se' : 'move', dx * step, dy * step, this.scene.size), true);
  }

  private pan(dx: number, dy: number): void {
    this.fits = false;
    this.view = panned(this.view, dx, dy, this.scene!.size, this.size);
    this.redraw();
  }

  private get size(): Size {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  private at({ clientX, clientY }: MouseEvent): Point {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  private down(event: PointerEvent): void {
    if (!this.scene || event.button > 1) return;
    this.canvas.focus({ preventScroll: true });
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 2) return this.beginPinch();
    if (this.pointers.size > 2) return;
    this.began = at;
    if (event.button === 1 || this.spaceHeld) {
      this.action = { kind: 'pan', last: at };
      return;
    }
    const from = toPicture(this.view, at);
    const grip = event.shiftKey ? undefined : this.gripAt(from, event.pointerType);
    this.action = grip ? { kind: 'drag', ...grip, from, edges: grip.before } : { kind: 'draw', from };
  }

  /** The handle of the selected box at a point. */
  private gripAt(point: Point, pointer: string): { id: number; handle: Handle; before: Edges } | undefined {
    const box = this.scene!.boxes.find(({ id, proposed }) => id === this.scene!.selected && !proposed);
    const handle = box && handleAt(box, point, (REACH[pointer] ?? GRIP) / this.view.scale);
    return handle && { id: box.id, handle, before: box };
  }

  private move(event: PointerEvent): void {
    if (!this.scene) return;
    const at = this.at(event);
    const { action } = this;
    if (!this.pointers.has(event.pointerId)) return this.hover(at, event);
    this.pointers.set(event.pointerId, at);
    if (!action) return;
    const point = toPicture(this.view, at);
    if (action.kind === 'pinch') this.pinch(action);
    else if (action.kind === 'pan') {
      this.pan(at.x - action.last.x, at.y - action.last.y);
      action.last = at;
    } else if (action.kind === 'drag') {
      const { before, handle, from } = action;
      action.edges = dragged(before, handle, point.x - from.x, point.y - from.y, this.scene.size);
    } else if (this.isClick(at)) delete action.edges;
    else action.edges = boxBetween(action.from, point, this.scene.size);
    this.redraw();
  }

  private hover(at: Point, { pointerType, shiftKey }: PointerEvent): void {
    const handle = shiftKey ? undefined : this.gripAt(toPicture(this.view, at), pointerType)?.handle;
    this.canvas.style.cursor = this.spaceHeld ? 'grab' : handle ? CURSORS[handle] : 'crosshair';
  }

  private up(event: PointerEvent, finished: boolean): void {
    if (!this.pointers.delete(event.pointerId)) return;
    const { action } = this;
    if (action?.kind === 'pinch' && this.pointers.size > 0) return; // the finger that remains must not draw
    this.action = undefined;
    if (finished && this.scene && action) {
      const at = this.at(event);
      if (action.kind === 'draw' && action.edges) this.listener.drawn(action.edges);
      else if (action.kind === 'drag' && !this.isClick(at)) this.listener.changed(action.id, action.edges, false);
      else if (action.kind === 'draw' || action.kind === 'drag') this.click(toPicture(this.view, at));
    }
    this.redraw();
  }

  private isClick({ x, y }: Point): boolean {
    return Math.hypot(x - this.began.x, y - this.began.y) < CLICK;
  }

  /** Selects the smallest box at a point, or accepts it if it is a proposal. */
  private click({ x, y }: Point): void {
    const [smallest] = this.scene!.boxes.filter(({ x1, y1, x2, y2 }) => x >= x1 && x <= x2 && y >= y1 && y <= y2).sort(
      (a, b) => areaOf(a) - areaOf(b),
    );
    if (smallest?.proposed) this.listener.accepted(smallest.id);
    else this.listener.selected(smallest?.id);
  }

  private beginPinch(): void {
    this.action = { kind: 'pinch', ...this.fingers() };
    this.redraw();
  }

  private fingers(): { distance: number; middle: Point } {
    const [a, b] = [...this.pointers.values()] as [Point, Point];
    return {
      distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)),
      middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
    };
  }

  private pinch(action: Action & { kind: 'pinch' }): void {
    if (this.pointers.size !== 2) return;
    const now = this.fingers();
    // What lies between the fingers stays between them.
    this.zoom(now.distance / action.distance, action.middle);
    this.pan(now.middle.x - action.middle.x, now.middle.y - action.middle.y);
    Object.assign(action, now);
  }

  /** With Ctrl, which a pinch on a trackpad sends as well, it zooms; otherwise it moves a picture that is larger than the surface. */
  private wheel(event: WheelEvent): void {
    if (!this.scene) return;
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), this.at(event));
    } else if (!this.fits) {
      event.preventDefault();
      this.pan(-event.deltaX, -event.deltaY);
    }
  }

  /** Draws once before the next frame, however often it is called. */
  private redraw(): void {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.paint();
    });
  }

  private paint(): void {
    const { canvas, scene, view } = this;
    const { width, height } = this.size;
    if (!scene || width === 0) return;
    const density = devicePixelRatio;
    const [w, h] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext('2d')!;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = view.scale < 3; // pixels are to be seen when boxes are fitted to them
    if (scene.image) {
      context.drawImage(scene.image, view.x, view.y, scene.size.width * view.scale, scene.size.height * view.scale);
    }
    const boxes = scene.boxes.map((box) => this.onSurface(box));
    for (const box of boxes) this.paintBox(context, box);
    drawTabs(
      context,
      boxes
        .toSorted((a, b) => areaOf(a) - areaOf(b))
        .map((box) => ({ ...box, text: box.proposed ? `${box.name}?` : box.name, fill: box.colour })),
      { width, height },
    );
    const { action } = this;
    if (action?.kind === 'draw' && action.edges) {
      outline(context, this.placed(action.edges), { colour: scene.pen, dashed: false });
    }
  }

  /** A box in pixels of the surface, where it is while it is dragged. */
  private onSurface(box: DrawnBox): DrawnBox {
    const { action } = this;
    const edges = action?.kind === 'drag' && action.id === box.id ? action.edges : box;
    return { ...box, ...this.placed(edges) };
  }

  private placed({ x1, y1, x2, y2 }: Edges): Edges {
    const { scale, x, y } = this.view;
    return { x1: x + x1 * scale, y1: y + y1 * scale, x2: x + x2 * scale, y2: y + y2 * scale };
  }

  private paintBox(context: CanvasRenderingContext2D, box: DrawnBox): void {
    const selected = box.id === this.scene!.selected;
    outline(context, box, { colour: box.colour, dashed: box.proposed });
    if (!selected) return;
    const { x1, y1, x2, y2 } = box;
    context.globalAlpha = 0.18;
    context.fillStyle = box.colour;
    context.fillRect(x1, y1, x2 - x1, y2 - y1);
    context.globalAlpha = 1;
    if (box.proposed) return;
    context.lineWidth = 1.5;
    context.strokeStyle = box.colour;
    context.fillStyle = colour('--card');
    for (const x of [x1, (x1 + x2) / 2, x2]) {
      for (const y of [y1, (y1 + y2) / 2, y2]) {
        if (x === (x1 + x2) / 2 && y === (y1 + y2) / 2) continue;
        context.beginPath();
        context.roundRect(x - GRIP / 2, y - GRIP / 2, GRIP, GRIP, 2);
        context.fill();
        context.stroke();
      }
    }
  }
}

/** A line with a dark one beneath, so that it can be seen on any picture. */
function outline(
  context: CanvasRenderingContext2D,
  { x1, y1, x2, y2 }: Edges,
  { colour, dashed }: { colour: string; dashed: boolean },
): void {
  context.setLineDash(dashed ? [6, 4] : []);
  for (const [width, style] of [
    [4, 'rgb(0 0 0 / 0.45)'],
    [2, colour],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  context.setLineDash([]);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const;

const CURSORS: Readonly<Record<Handle, string>> = {
  ...{ nw: 'nwse-resize', se: 'nwse-resize', ne: 'nesw-resize', sw: 'nesw-resize' },
  ...{ n: 'ns-resize', s: 'ns-resize', e: 'ew-resize', w: 'ew-resize', move: 'move' },
};
