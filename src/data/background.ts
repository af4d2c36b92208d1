/** The name of class 0 in every data set. */
export const BACKGROUND = '__background__';
