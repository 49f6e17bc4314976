/* Planes resampled, line by line, so that nothing leaves the cache before it is a code; and values rounded to codes.

   `resize` and `interpolate` call these where the package was built with a C compiler, and else do the same in numpy and
   torch. Sums are of floats in the order of the taps and nothing is contracted: every processor gives the same codes. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12
#define ON_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ON_EACH_PROCESSOR
#endif

typedef Py_ssize_t Size;

typedef struct {
    const int32_t *index; /* (taps, size): samples of the source */
    const float *weight;  /* (taps, size) */
    Size taps, size;      /* size: samples of the output */
} Filter;

typedef struct {
    float *lines; /* (slots + 2, length): the source's rows that are at hand, and two to work in */
    Size *held;   /* (slots): which rows they are */
    Size slots, length;
} Ring;

ON_EACH_PROCESSOR static void read_line(float *restrict line, const Py_buffer *plane, Size row)
{
    Size width = plane->shape[1], first = row * width;
    char format = plane->format[0];
    for (Size x = 0; format == 'B' && x < width; x++)
        line[x] = ((const uint8_t *)plane->buf)[first + x];
    for (Size x = 0; format == 'H' && x < width; x++)
        line[x] = ((const uint16_t *)plane->buf)[first + x];
    for (Size x = 0; format == 'f' && x < width; x++)
        line[x] = ((const float *)plane->buf)[first + x];
}

ON_EACH_PROCESSOR static void filter_across(float *restrict out, const float *restrict line, const Filter *columns)
{
    Size size = columns->size;
    memset(out, 0, sizeof(float) * (size_t)size);
    for (Size tap = 0; tap < columns->taps; tap++) {
        const int32_t *restrict index = columns->index + tap * size;
        const float *restrict weight = columns->weight + tap * size;
        for (Size u = 0; u < size; u++)
            out[u] += weight[u] * line[index[u]];
    }
}

/* Row y of the output (n): the weighted sum of lines of the ring, four at a time. */
ON_EACH_PROCESSOR static void filter_down(float *restrict out, const Ring *ring, const Filter *rows, Size y, Size n)
{
    memset(out, 0, sizeof(float) * (size_t)n);
    for (Size first = 0; first < rows->taps; first += 4) {
        const float *line[4];
        float weight[4];
        for (Size k = 0; k < 4; k++) {
            int is_tap = first + k < rows->taps;
            Size at = (is_tap ? first + k : first) * rows->size + y;
            line[k] = ring->lines + rows->index[at] % ring->slots * ring->length;
            weight[k] = is_tap ? rows->weight[at] : 0;
        }
        const float *restrict a = line[0], *restrict b = line[1], *restrict c = line[2], *restrict d = line[3];
        float p = weight[0], q = weight[1], r = weight[2], s = weight[3];
        for (Size x = 0; x < n; x++)
            out[x] = out[x] + p * a[x] + q * b[x] + r * c[x] + s * d[x];
    }
}

/* Half up, clipped to 0..most; `unit` codes are 1. */
ON_EACH_PROCESSOR static void put_line(const Py_buffer *out, Size y, const float *restrict line, float unit, int32_t most)
{
    Size width = out->shape[1];
    uint8_t *restrict bytes = (uint8_t *)out->buf + y * width;
    uint16_t *restrict shorts = (uint16_t *)out->buf + y * width;
    int is_bytes = out->format[0] == 'B';
    float limit = (float)most;
    for (Size x = 0; x < width; x++) {
        float value = line[x] * unit + 0.5f; /* clipped before the cast, which is undefined beyond an integer's range */
        int32_t code = (int32_t)(value > 0 ? value < limit ? value : limit : 0);
        if (is_bytes)
            bytes[x] = (uint8_t)code;
        else
            shorts[x] = (uint16_t)code;
    }
}

/* How many rows of the source lie between the first and the last that an output is made of, at most. */
static Size most_rows(const Filter *rows)
{
    Size most = 1;
    for (Size y = 0; y < rows->size; y++) {
        Size number = rows->index[(rows->taps - 1) * rows->size + y] - rows->index[y] + 1;
        most = number > most ? number : most;
    }
    return most;
}

/* The axis that grows is filtered first, of fewer lines. */
static void resample_rows(const Py_buffer *plane, const Filter *rows, const Filter *columns, const Py_buffer *out, int32_t most,
                          Ring *ring)
{
    Size width = plane->shape[1], wide = columns->size;
    int grows = wide > width;
    float *one = ring->lines + ring->slots * ring->length, *other = one + ring->length;
    for (Size slot = 0; slot < ring->slots; slot++)
        ring->held[slot] = -1;
    for (Size y = 0; y < rows->size; y++) {
        for (Size tap = 0; tap < rows->taps; tap++) {
            Size row = rows->index[tap * rows->size + y], slot = row % ring->slots;
            float *line = ring->lines + slot * ring->length;
            if (ring->held[slot] == row)
                continue;
            ring->held[slot] = row;
            read_line(grows ? one : line, plane, row);
            if (grows)
                filter_across(line, one, columns);
        }
        filter_down(one, ring, rows, y, grows ? wide : width);
        if (!grows)
            filter_across(other, one, columns);
        put_line(out, y, grows ? one : other, 1, most);
    }
}

/* Whether there was memory for it. */
static int resample_plane(const Py_buffer *plane, const Filter *rows, const Filter *columns, const Py_buffer *out, int32_t most)
{
    Size width = plane->shape[1];
    Ring ring = {NULL, NULL, most_rows(rows), columns->size > width ? columns->size : width};
    ring.lines = malloc(sizeof(float) * (size_t)((ring.slots + 2) * ring.length));
    ring.held = malloc(sizeof(Size) * (size_t)ring.slots);
    int has_memory = ring.lines && ring.held;
    if (has_memory)
        resample_rows(plane, rows, columns, out, most, &ring);
    free(ring.lines);
    free(ring.held);
    return has_memory;
}

static int is_inside(const Filter *filter, Size size)
{
    for (Size at = 0; at < filter->size * filter->taps; at++)
        if (filter->index[at] < 0 || filter->index[at] >= size)
            return 0;
    return filter->taps > 0;
}

static int get(PyObject *array, Py_buffer *view, const char *formats, int flags)
{
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags))
        return 0;
    if (view->ndim == 2 && strlen(view->format) == 1 && strchr(formats, view->format[0]))
        return 1;
    PyErr_Format(PyExc_ValueError, "expected two axes of type %s, got %d of type %s", formats, view->ndim, view->format);
    PyBuffer_Release(view);
    return 0;
}

static PyObject *resample(PyObject *module, PyObject *args)
{
    static const char *formats[] = {"BHf", "i", "f", "i", "f", "BH"};
    PyObject *arrays[6];
    Py_buffer views[6];
    int most, count = 0, is_done = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOOi", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5], &most))
        return NULL;
    while (count < 6 && get(arrays[count], &views[count], formats[count], count == 5 ? PyBUF_WRITABLE : 0))
        count++;
    if (count == 6) {
        Py_buffer *plane = &views[0], *out = &views[5];
        Filter rows = {views[1].buf, views[2].buf, views[1].shape[0], views[1].shape[1]};
        Filter columns = {views[3].buf, views[4].buf, views[3].shape[0], views[3].shape[1]};
        if (views[1].len != views[2].len || views[3].len != views[4].len || !is_inside(&rows, plane->shape[0]) ||
            !is_inside(&columns, plane->shape[1]) || out->shape[0] != rows.size || out->shape[1] != columns.size) {
            PyErr_SetString(PyExc_ValueError, "expected filters of the plane's and of the output's sizes");
        } else {
            Py_BEGIN_ALLOW_THREADS
            is_done = resample_plane(plane, &rows, &columns, out, most);
            Py_END_ALLOW_THREADS
            if (!is_done)
                PyErr_NoMemory();
        }
    }
    while (count--)
        PyBuffer_Release(&views[count]);
    if (!is_done)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *round_values(PyObject *module, PyObject *args)
{
    PyObject *arrays[2];
    Py_buffer values, out;
    float unit;
    int most, is_done = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "OfOi", &arrays[0], &unit, &arrays[1], &most) || !get(arrays[0], &values, "f", 0))
        return NULL;
    if (get(arrays[1], &out, "BH", PyBUF_WRITABLE)) {
        is_done = values.shape[0] == out.shape[0] && values.shape[1] == out.shape[1];
        if (is_done) {
            Py_BEGIN_ALLOW_THREADS
            for (Size y = 0; y < out.shape[0]; y++)
                put_line(&out, y, (const float *)values.buf + y * out.shape[1], unit, most);
            Py_END_ALLOW_THREADS
        } else {
            PyErr_SetString(PyExc_ValueError, "expected values and output of one size");
        }
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&values);
    if (!is_done)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"round", round_values, METH_VARARGS, "round(values (H, W), unit, out (H, W), most)"},
    {"resample", resample, METH_VARARGS,
     "resample(plane (H, W), row indices (taps, H'), row weights, column indices, column weights, out (H', W'), most)"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void)
{
    return PyModule_Create(&definition);
}
