/** Pictures of results, as SVG: bars in groups, and lines. Light and dark readers see them alike: they bring their own ground. */

const ink = "#1f2328";
const faint = "#d0d7de";
const colours = ["#0969da", "#cf222e", "#bf8700", "#8250df", "#bc4c00", "#0a3069", "#bf3989"];

/** Ours and the limits have colours of their own. */
export type Kind = "ours" | "limit" | "peer";
const colourOf = (kind: Kind, n: number): string =>
  kind === "ours" ? "#1a7f37" : kind === "limit" ? "#afb8c1" : (colours[n % colours.length] ?? ink);
const weightOf = (kind: Kind): string => (kind === "ours" ? ' font-weight="600"' : "");

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: number;
  /** The lowest and highest round. */
  readonly low: number;
  readonly high: number;
}

export interface Line {
  readonly name: string;
  readonly kind: Kind;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const escape = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const text = (x: number, y: number, content: string, more = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escape(content)}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number, colour: string): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`;

function picture(width: number, height: number, title: string, content: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family="system-ui, sans-serif" font-size="12" fill="${ink}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, title, 'font-size="15" font-weight="600"'),
    ...content,
    "</svg>\n",
  ].join("\n");
}

/** Groups of bars, one below the other; the same name has the same colour. */
export function barChart(
  title: string,
  groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[],
  show: (value: number) => string,
): string {
  const [left, width, height, gap, top] = [220, 760, 16, 30, 44];
  const highest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ high }) => high)), 0) || 1;
  const scale = (width - left - 70) / highest;
  const peers = groups.flatMap(({ bars }) => bars.filter(({ kind }) => kind === "peer").map(({ name }) => name));
  const names = [...new Set(peers)];
  const content: string[] = [];
  let y = top;
  for (const { name, bars } of groups) {
    content.push(text(16, y + 12, name, 'font-weight="600"'));
    y += 20;
    for (const { name, kind, value, low, high } of bars) {
      const colour = colourOf(kind, names.indexOf(name));
      content.push(
        text(left - 8, y + 12, name, `text-anchor="end"${weightOf(kind)}`),
        `<rect x="${left}" y="${y + 1}" width="${(value * scale).toFixed(1)}" height="${height - 3}" fill="${colour}"/>`,
        line(left + low * scale, y + 7.5, left + high * scale, y + 7.5, ink),
        text(left + high * scale + 6, y + 12, show(value)),
      );
      y += height;
    }
    y += gap - 20;
  }
  return picture(width, y + 6, title, content);
}

/** Lines over a logarithmic x; y begins at 0. */
export function lineChart(
  title: string,
  lines: readonly Line[],
  axes: { readonly x: (value: number) => string; readonly y: string },
): string {
  const [width, height, left, right, top, bottom] = [760, 380, 60, 230, 56, 40];
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y)), 0) || 1;
  const [first = 1, last = 2] = [xs[0], xs.at(-1)];
  const atX = (x: number): number =>
    left + (Math.log(x / first) / (Math.log(last / first) || 1)) * (width - left - right);
  const atY = (y: number): number => height - bottom - (y / highest) * (height - top - bottom);
  const content = [text(16, 44, axes.y)];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const y = atY(highest * part);
    content.push(
      line(left, y, width - right, y, faint),
      text(left - 6, y + 4, (highest * part).toPrecision(2), 'text-anchor="end"'),
    );
  }
  for (const x of xs) content.push(text(atX(x), height - bottom + 18, axes.x(x), 'text-anchor="middle"'));
  const ends = labelPlaces(lines.map(({ points }) => atY(points.at(-1)?.[1] ?? 0)));
  const peers = lines.filter(({ kind }) => kind === "peer");
  for (const [n, each] of lines.entries()) {
    const { name, kind, points } = each;
    const colour = colourOf(kind, peers.indexOf(each));
    const path = points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(" ");
    content.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${kind === "ours" ? 3 : 1.5}"/>`,
      text(width - right + 8, (ends[n] ?? 0) + 4, name, `fill="${kind === "limit" ? ink : colour}"${weightOf(kind)}`),
    );
  }
  return picture(width, height, title, content);
}

/** Moves labels apart that would cover each other. */
function labelPlaces(wanted: readonly number[]): number[] {
  const places = [...wanted];
  const order = places.map((_, n) => n).sort((a, b) => (places[b] ?? 0) - (places[a] ?? 0));
  let below = Infinity;
  for (const n of order) {
    places[n] = Math.min(places[n] ?? 0, below - 14);
    below = places[n];
  }
  return places;
}
