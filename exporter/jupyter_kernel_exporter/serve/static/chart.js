// One chart over time with marks, drawn by uPlot (static/vendor/), in the colours of the page.

import { setText } from "./dom.js";
import { clockTime } from "./words.js";

const HEIGHT = 230;
const BINARY = Array.from({ length: 51 }, (_, power) => 2 ** power);
const DECIMAL = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];
const MINUTES = [1, 2, 5, 10, 15, 20, 30, 60].map((minutes) => 60 * minutes);
const MARK_ROOM_PX = 4;

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// figure: <figure> with a .plot and a .said. series: [{ name, colour, fill, dash }]; words(value)
// says a value of the axis; binary: the axis counts bytes.
export function makeChart(figure, { series, words, binary, least }) {
  const plot = figure.querySelector(".plot");
  const said = figure.querySelector(".said");
  let marks = [];
  let span = [0, 1];

  const axis = {
    stroke: () => colour("soft"),
    grid: { stroke: () => colour("line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  const chart = new window.uPlot({
    width: 320,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: () => span },
      y: { range: (_, __, highest) => [0, Math.max(least, (highest ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, size: 32, space: 60, incrs: MINUTES, values: (_, moments) => moments.map((at) => clockTime(at)) },
      { ...axis, size: 72, space: 40, incrs: binary ? BINARY : DECIMAL, values: (_, values) => values.map(words) },
    ],
    series: [{}, ...series.map(({ colour: name, fill, dash }) => ({
      stroke: () => colour(name),
      fill: fill ? () => colour(fill) : undefined,
      width: 2,
      dash,
      points: { show: false },
      spanGaps: false,
    }))],
    hooks: { draw: [drawMarks], setCursor: [say] },
  }, [[], ...series.map(() => [])], plot);

  function drawMarks(u) {
    const { ctx, bbox } = u;
    const ratio = window.devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    let free = bbox.left;
    for (const { at, kind, text } of marks) {
      const x = Math.round(u.valToPos(at, "x", true));
      if (x >= bbox.left && x <= bbox.left + bbox.width) {
        ctx.strokeStyle = ctx.fillStyle = colour(`mark-${kind}`);
        if (kind === "start") {
          ctx.beginPath();
          ctx.moveTo(x, bbox.top + bbox.height - 9 * ratio);
          ctx.lineTo(x + 5 * ratio, bbox.top + bbox.height);
          ctx.lineTo(x - 5 * ratio, bbox.top + bbox.height);
          ctx.fill();
        } else {
          ctx.lineWidth = 1.5 * ratio;
          ctx.setLineDash([4 * ratio, 3 * ratio]);
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          const width = ctx.measureText(text).width + 2 * MARK_ROOM_PX * ratio;
          const left = x + width > bbox.left + bbox.width ? x - width : x;
          if (left >= free) {
            ctx.fillText(text, left + MARK_ROOM_PX * ratio, bbox.top + 2 * ratio);
            free = left + width;
          }
        }
      }
    }
    ctx.restore();
  }

  function say(u) {
    const at = u.cursor.idx;
    if (at === null || at === undefined || u.data[0][at] === undefined) {
      setText(said, "");
      return;
    }
    const values = series.map(({ name }, which) => [name, u.data[which + 1][at]])
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name} ${words(value)}`);
    setText(said, [clockTime(u.data[0][at], true), ...values].join(", "));
  }

  // The keyboard moves the same cursor as the mouse, and only then it is read out.
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const last = chart.data[0].length - 1;
    if (step === undefined || last < 0) return;
    event.preventDefault();
    said.setAttribute("aria-live", "polite");
    let at = Math.min(last, Math.max(0, (chart.cursor.idx ?? last + 1) + step));
    while (chart.data[1][at] === null && at + step >= 0 && at + step <= last) at += step;
    chart.setCursor({ left: chart.valToPos(chart.data[0][at], "x"), top: 0 });
  });
  plot.addEventListener("blur", () => {
    said.setAttribute("aria-live", "off");
    chart.setCursor({ left: -10, top: -10 });
  });
  new ResizeObserver(([entry]) => {
    chart.setSize({ width: Math.max(200, Math.floor(entry.contentRect.width)), height: HEIGHT });
  }).observe(plot);
  dark.addEventListener("change", () => chart.redraw(false, true));

  return (columns, newMarks, newSpan) => {
    marks = newMarks;
    span = newSpan;
    chart.setData(columns);
  };
}
