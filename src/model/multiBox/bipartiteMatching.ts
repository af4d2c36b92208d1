/** The assignment problem: each row gets a column of its own so that the costs add up to the least (Kuhn 1955, by shortest paths). */

/**
 * @param cost `rows * columns` finite numbers, row-major; rows <= columns
 * @returns for each row its column
 */
export function bipartiteMatching(cost: Float64Array, rows: number, columns: number): Int32Array {
  if (rows > columns) throw new RangeError(`${rows} rows cannot have a column each of ${columns}`);
  // Potentials u, v with u[i] + v[j] <= cost[i, j], equal where i is matched to j. Row and column 0 are artificial.
  const u = new Float64Array(rows + 1);
  const v = new Float64Array(columns + 1);
  const rowOf = new Int32Array(columns + 1);
  const previous = new Int32Array(columns + 1);
  const slack = new Float64Array(columns + 1);
  const passed = new Uint8Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    // The shortest path from the new row to a free column, along edges that change the matching.
    rowOf[0] = row;
    slack.fill(Infinity);
    passed.fill(0);
    let column = 0;
    do {
      passed[column] = 1;
      const current = rowOf[column];
      let least = Infinity;
      let next = 0;
      for (let j = 1; j <= columns; j++) {
        if (passed[j]) continue;
        const reduced = cost[(current - 1) * columns + j - 1] - u[current] - v[j];
        if (reduced < slack[j]) {
          slack[j] = reduced;
          previous[j] = column;
        }
        if (slack[j] < least) {
          least = slack[j];
          next = j;
        }
      }
      for (let j = 0; j <= columns; j++) {
        if (passed[j]) {
          u[rowOf[j]] += least;
          v[j] -= least;
        } else slack[j] -= least;
      }
      column = next;
    } while (rowOf[column] !== 0);
    for (; column !== 0; column = previous[column]) rowOf[column] = rowOf[previous[column]];
  }
  const matched = new Int32Array(rows);
  for (let j = 1; j <= columns; j++) if (rowOf[j] > 0) matched[rowOf[j] - 1] = j - 1;
  return matched;
}
