export const COMMENTS: Readonly<Record<string, string>> = {};
