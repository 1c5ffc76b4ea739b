/** A chart by day, and the same as a table: bars on top of each other, or lines. Colours follow the page's scheme. */
import { html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property } from "lit/decorators.js";
import uPlot from "uplot";

export interface Series {
  name: string;
  /** A custom property of the stylesheet: --chart-1. */
  colour: string;
  /** One per day; null: nothing to show. */
  values: (number | null)[];
}

const HEIGHT = 240;

@customElement("pb-chart")
export class Chart extends LitElement {
  @property() name = "";
  @property({ attribute: false }) days: string[] = [];
  @property({ attribute: false }) series: Series[] = [];
  @property({ attribute: false }) show: (v: number) => string = String;
  @property({ type: Boolean }) lines = false;
  private plot: uPlot | null = null;
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw();
  private readonly width = new ResizeObserver(() => this.fit());

  createRenderRoot(): this {
    return this;
  }

  connectedCallback(): void {
    super.connectedCallback();
    this.dark.addEventListener("change", this.redraw);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.dark.removeEventListener("change", this.redraw);
    this.width.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  updated(p: PropertyValues<this>): void {
    if (p.has("days") || p.has("series") || p.has("lines")) this.draw();
  }

  private box(): HTMLElement | null {
    return this.querySelector<HTMLElement>(".chart");
  }

  private fit(): void {
    const box = this.box();

    if (box && this.plot && box.clientWidth !== this.plot.width) this.plot.setSize({ width: box.clientWidth, height: HEIGHT });
  }

  /** Each bar covers the ones before it: the sums from the bottom up, the highest drawn first. */
  private stacked(): (number | null)[][] {
    const sums = this.days.map(() => 0);
    const up = this.series.map((s) => s.values.map((v, i) => (sums[i] += v ?? 0)));

    return up.reverse();
  }

  private draw(): void {
    const box = this.box();

    this.plot?.destroy();
    this.plot = null;
    if (!box || !this.days.length) return;
    const style = getComputedStyle(this);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const bars = uPlot.paths.bars!({ size: [0.75, 48] });
    const drawn = this.lines ? this.series : [...this.series].reverse();
    const values = this.lines ? this.series.map((s) => s.values) : this.stacked();

    this.plot = new uPlot({
      width: box.clientWidth || 600,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: (_u, min, max) => [min - 43_200, max + 43_200] }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
      tzDate: (t) => uPlot.tzDate(new Date(t * 1000), "UTC"),
      axes: [{ ...axis, grid: { show: false }, space: 70 }, { ...axis, size: 70, values: (_u, ticks) => ticks.map((v) => this.show(v)) }],
      series: [{}, ...drawn.map((s) => this.lines
        ? { label: s.name, stroke: colour(s.colour), width: 2, spanGaps: true, points: { show: this.days.length < 40, size: 6, fill: colour(s.colour) } }
        : { label: s.name, stroke: colour(s.colour), fill: colour(s.colour), width: 0, paths: bars, points: { show: false } })],
    }, [this.days.map((d) => Date.parse(d) / 1000), ...values] as uPlot.AlignedData, box);
    this.width.disconnect();
    this.width.observe(box);
  }

  private table() {
    const rows = this.days.map((day, i) => ({ day, values: this.series.map((s) => s.values[i] ?? null) })).filter((r) => r.values.some((v) => v));

    return html`<details><summary>As a table</summary>
      ${rows.length ? html`<div class="scroll" tabindex="0" role="region" aria-label=${`${this.name}, as a table`}><table>
        <thead><tr><th>Day (UTC)</th>${this.series.map((s) => html`<th class="number">${s.name}</th>`)}</tr></thead>
        <tbody>${rows.map((r) => html`<tr><td>${r.day}</td>${r.values.map((v) => html`<td class="number">${v === null ? "–" : this.show(v)}</td>`)}</tr>`)}</tbody>
      </table></div>` : html`<p class="muted">Nothing in this time.</p>`}
    </details>`;
  }

  render() {
    return html`
      <ul class="legend" aria-hidden="true">${this.series.map((s) => html`<li><span class="swatch ${s.colour.slice(2)}"></span>${s.name}</li>`)}</ul>
      <div class="chart" role="img" aria-label=${`${this.name}: chart; its figures are in the table below`}></div>
      ${this.series.length ? this.table() : nothing}
    `;
  }
}
