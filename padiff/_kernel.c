/* The loops over elements that decide what padiff costs: the figures of one tensor, and of a pair, and
   the copy that puts the axes of one side in the order of the other's.

   All arithmetic is in double precision. Elements are widened a block at a time, small enough for the
   nearest cache, so that memory is read once and each figure costs no pass of its own. The sums of
   a block are added to those before it, which keeps digits that one long sum would lose.
   The interpreter's lock is not held meanwhile. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#define _POSIX_C_SOURCE 200809L /* for pread */
#include <Python.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512 };

/* A second copy of the loops for processors with wider registers, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* --- element types ------------------------------------------------------------------------------ */

typedef struct { uint16_t bits; } half;
typedef struct { uint16_t bits; } brain;

/* IEEE 754 binary16: its fields are moved to their places in a float, and the exponent's offset is changed
   from 15 to 127. Infinities and NaN, whose exponent is all ones, keep that; numbers without an exponent
   are multiples of 2^-24. All ways are computed and one is chosen, so that it is done in lanes, and in
   those of a float, which are as many again as a double's. */
INLINE double widen_half(half value) {
    uint32_t size = value.bits & 0x7fff, sign = (uint32_t)(value.bits & 0x8000) << 16;
    uint32_t offset = (uint32_t)(127 - 15) << 23;
    uint32_t bits = (size << 13) + (size >= 0x7c00 ? 2 * offset : offset), small_bits;
    float small = (float)(int32_t)size * 0x1p-24f, wide;
    memcpy(&small_bits, &small, sizeof small);
    bits = (size < 0x0400 ? small_bits : bits) | sign;
    memcpy(&wide, &bits, sizeof bits);
    return wide;
}

/* bfloat16 is the upper half of a float. */
INLINE double widen_brain(brain value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    memcpy(&wide, &bits, sizeof bits);
    return wide;
}

INLINE double plain(double value) { return value; }

/* Name in the table of dtypes, type in memory, and how an element becomes a double. */
#define FOR_EACH_TYPE(X)       \
    X(bool, uint8_t, plain)      \
    X(int8, int8_t, plain)       \
    X(int16, int16_t, plain)     \
    X(int32, int32_t, plain)     \
    X(int64, int64_t, plain)     \
    X(uint8, uint8_t, plain)     \
    X(uint16, uint16_t, plain)   \
    X(uint32, uint32_t, plain)   \
    X(uint64, uint64_t, plain)   \
    X(float16, half, widen_half) \
    X(bfloat16, brain, widen_brain) \
    X(float32, float, plain)     \
    X(float64, double, plain)

#define ENUMERATE(name, type, widen) TYPE_##name,
typedef enum { FOR_EACH_TYPE(ENUMERATE) TYPES } Type;

static const struct { const char *name; Py_ssize_t size; } table[TYPES] = {
#define DESCRIBE(name, type, widen) {#name, sizeof(type)},
    FOR_EACH_TYPE(DESCRIBE)
};

/* `count` elements from `start` on, as doubles. */
INLINE void load(Type type, const void *data, Py_ssize_t start, int count, double *restrict out) {
    switch (type) {
#define LOAD(name, type, widen)                          \
    case TYPE_##name: {                                  \
        const char *from = (const char *)data + start * (Py_ssize_t)sizeof(type); \
        for (int i = 0; i < count; i++) {                \
            type element; /* copied: memory need not be aligned */ \
            memcpy(&element, from + (size_t)i * sizeof element, sizeof element); \
            out[i] = widen(element);                     \
        }                                                \
        break;                                           \
    }
        FOR_EACH_TYPE(LOAD)
    case TYPES: break;
    }
}

/* --- one tensor --------------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t count, nan, inf;
    double min, max, sum, sum_abs, sum_squares;
} Stats;

INLINE Stats sums_of_one(const double *restrict x, int count) {
    double min = INFINITY, max = -INFINITY, sum = 0, sum_abs = 0, sum_squares = 0;
#pragma omp simd reduction(+ : sum, sum_abs, sum_squares) reduction(min : min) reduction(max : max)
    for (int i = 0; i < count; i++) {
        double v = x[i];
        min = v < min ? v : min;
        max = v > max ? v : max;
        sum += v;
        sum_abs += fabs(v);
        sum_squares += v * v;
    }
    return (Stats){count, 0, 0, min, max, sum, sum_abs, sum_squares};
}

/* Close the gaps that NaN and infinities leave; returns how many elements remain. */
static int drop_nonfinite(double *x, int count, Stats *all) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (isnan(x[i])) all->nan++;
        else if (isinf(x[i])) all->inf++;
        else x[kept++] = x[i];
    }
    return kept;
}

CLONES static void describe(Type type, const void *data, Py_ssize_t size, Stats *result) {
    Stats all = {.min = INFINITY, .max = -INFINITY};
    double x[BLOCK];
    for (Py_ssize_t start = 0; start < size; start += BLOCK) {
        int count = size - start < BLOCK ? (int)(size - start) : BLOCK;
        load(type, data, start, count, x);
        Stats block = sums_of_one(x, count);
        if (!(block.sum_abs <= DBL_MAX)) block = sums_of_one(x, drop_nonfinite(x, count, &all));
        all.count += block.count;
        all.min = block.min < all.min ? block.min : all.min;
        all.max = block.max > all.max ? block.max : all.max;
        all.sum += block.sum;
        all.sum_abs += block.sum_abs;
        all.sum_squares += block.sum_squares;
    }
    *result = all;
}

/* --- a pair of tensors -------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t finite, agreeing, parted, mismatched, worst;
    double max_abs, max_rel, excess;
    double sum_abs, sum_base, squares, squares_base, squares_raw, product;
} Figures;

typedef struct {
    Type base_type, raw_type;
    const void *base, *raw;
    const double *errors; /* given, where the doubles' difference is not it; else NULL */
    Py_ssize_t size;
    double atol, rtol;
} Pair;

/* The sums and extremes of one block of a pair: `worst` and `max_rel` are left to the caller. */
INLINE Figures sums_of_pair(const double *restrict b, const double *restrict r,
                            const double *restrict e, int count, double atol, double rtol,
                            double *least) {
    double max_abs = 0, excess = 0, min = INFINITY;
    double sum_abs = 0, sum_base = 0, squares = 0, squares_base = 0, squares_raw = 0, product = 0;
    int64_t over = 0; /* as wide as the doubles it goes along with */
#pragma omp simd reduction(+ : sum_abs, sum_base, squares, squares_base, squares_raw, product, over) \
    reduction(max : max_abs, excess) reduction(min : min)
    for (int i = 0; i < count; i++) {
        double size = fabs(b[i]), beyond = e[i] - rtol * size;
        max_abs = e[i] > max_abs ? e[i] : max_abs;
        excess = beyond > excess ? beyond : excess;
        min = size < min ? size : min;
        sum_abs += e[i];
        sum_base += size;
        squares += e[i] * e[i];
        squares_base += b[i] * b[i];
        squares_raw += r[i] * r[i];
        product += b[i] * r[i];
        over += !(beyond <= atol);
    }
    *least = min;
    return (Figures){.mismatched = over, .max_abs = max_abs, .excess = excess, .sum_abs = sum_abs,
                     .sum_base = sum_base, .squares = squares, .squares_base = squares_base,
                     .squares_raw = squares_raw, .product = product};
}

INLINE double greatest_ratio(const double *restrict e, const double *restrict b, int count, double known) {
    double most = known;
#pragma omp simd reduction(max : most)
    for (int i = 0; i < count; i++) {
        double ratio = e[i] / fabs(b[i]); /* NaN, where both are 0, is greater than nothing */
        most = ratio > most ? ratio : most;
    }
    return most;
}

/* Elements that are not finite are counted, and 0 stands for them on both sides. Where errors are given,
   NaN marks such elements: absolute values of complex numbers may overflow. */
static void drop_nonfinite_pairs(double *b, double *r, double *e, Py_ssize_t start, int count,
                                 int given, Figures *all) {
    for (int i = 0; i < count; i++) {
        if (e[i] <= DBL_MAX) continue;
        if (given ? !isnan(b[i]) && !isnan(r[i]) : isfinite(b[i]) && isfinite(r[i])) {
            all->excess = INFINITY; /* finite numbers so far apart that their distance is not */
            continue;
        }
        if (b[i] == r[i] || (isnan(b[i]) && isnan(r[i]))) {
            all->agreeing++;
        } else if (all->parted++ == 0) {
            all->worst = start + i;
        }
        b[i] = r[i] = e[i] = 0;
    }
}

CLONES static void compare(const Pair *pair, Figures *result) {
    Figures all = {.worst = -1};
    double b[BLOCK], r[BLOCK], e[BLOCK], least;
    for (Py_ssize_t start = 0; start < pair->size; start += BLOCK) {
        int count = pair->size - start < BLOCK ? (int)(pair->size - start) : BLOCK;
        load(pair->base_type, pair->base, start, count, b);
        load(pair->raw_type, pair->raw, start, count, r);
        if (pair->errors) {
            memcpy(e, pair->errors + start, sizeof(double) * (size_t)count);
        } else {
            for (int i = 0; i < count; i++) e[i] = fabs(r[i] - b[i]);
        }
        Figures block = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
        if (!(block.sum_abs <= DBL_MAX)) {
            drop_nonfinite_pairs(b, r, e, start, count, pair->errors != NULL, &all);
            block = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
        }
        /* divisions take longer than all the rest, and seldom can find a new greatest */
        if (block.max_abs > all.max_rel * least)
            all.max_rel = greatest_ratio(e, b, count, all.max_rel);
        if (block.max_abs > all.max_abs) {
            all.max_abs = block.max_abs;
            if (!all.parted) {
                int at = 0;
                while (e[at] != block.max_abs) at++;
                all.worst = start + at;
            }
        }
        all.excess = block.excess > all.excess ? block.excess : all.excess;
        all.mismatched += block.mismatched;
        all.sum_abs += block.sum_abs;
        all.sum_base += block.sum_base;
        all.squares += block.squares;
        all.squares_base += block.squares_base;
        all.squares_raw += block.squares_raw;
        all.product += block.product;
    }
    all.finite = pair->size - all.agreeing - all.parted;
    all.mismatched += all.parted;
    *result = all;
}

/* --- axes in another order ------------------------------------------------------------------------ */

typedef struct { uint64_t halves[2]; } wide;

/* A matrix is copied in strips as wide as a cache line of the target, and so long that they stay in the
   nearest cache: what is read lies side by side, and so does what is written. `down` and `right` are the
   steps to the next row and column in bytes; the target's columns lie side by side. */
enum { LINE = 64, LONG = 256 };
#define TURN(type)                                                                        \
    INLINE void turn_##type(const char *from, Py_ssize_t down, Py_ssize_t right, char *to, \
                            Py_ssize_t to_down, Py_ssize_t rows, Py_ssize_t columns) {    \
        enum { WIDE = LINE / sizeof(type) };                                              \
        type strip[LONG][WIDE];                                                           \
        for (Py_ssize_t row = 0; row < rows; row += LONG) {                               \
            Py_ssize_t high = rows - row < LONG ? rows - row : LONG;                      \
            for (Py_ssize_t column = 0; column < columns; column += WIDE) {               \
                Py_ssize_t broad = columns - column < WIDE ? columns - column : WIDE;     \
                const char *line = from + row * down + column * right;                    \
                char *place = to + row * to_down + column * (Py_ssize_t)sizeof(type);     \
                for (Py_ssize_t j = 0; j < broad; j++, line += right)                     \
                    for (Py_ssize_t i = 0; i < high; i++)                                 \
                        memcpy(&strip[i][j], line + i * down, sizeof(type));              \
                if (broad == WIDE)                                                        \
                    for (Py_ssize_t i = 0; i < high; i++) memcpy(place + i * to_down, strip[i], LINE); \
                else                                                                      \
                    for (Py_ssize_t i = 0; i < high; i++)                                 \
                        memcpy(place + i * to_down, strip[i], (size_t)broad * sizeof(type)); \
            }                                                                             \
        }                                                                                 \
    }
TURN(uint8_t)
TURN(uint16_t)
TURN(uint32_t)
TURN(uint64_t)
TURN(wide)

/* The last axis of the target, and the one along which the source's elements lie closest, make the matrix;
   all others are gone through one by one. */
CLONES static void arrange(const Py_buffer *source, const Py_buffer *target) {
    int last = target->ndim - 1, close = last;
    Py_ssize_t index[PyBUF_MAX_NDIM] = {0}, one = 1;
    for (int axis = 0; axis < last; axis++) {
        Py_ssize_t step = source->strides[axis], known = source->strides[close];
        if (source->shape[axis] > 1 && (step < 0 ? -step : step) < (known < 0 ? -known : known)) close = axis;
    }
    if (close == last && last > 0) close = last - 1;
    int flat = last == 0;
    Py_ssize_t rows = flat ? one : source->shape[close], down = flat ? 0 : source->strides[close];
    Py_ssize_t to_down = flat ? 0 : target->strides[close], right = source->strides[last];
    const char *from = source->buf;
    char *to = target->buf;
    for (;;) {
        switch (source->itemsize) {
        case 1: turn_uint8_t(from, down, right, to, to_down, rows, source->shape[last]); break;
        case 2: turn_uint16_t(from, down, right, to, to_down, rows, source->shape[last]); break;
        case 4: turn_uint32_t(from, down, right, to, to_down, rows, source->shape[last]); break;
        case 8: turn_uint64_t(from, down, right, to, to_down, rows, source->shape[last]); break;
        default: turn_wide(from, down, right, to, to_down, rows, source->shape[last]); break;
        }
        int axis = last - 1;
        for (; axis >= 0; axis--) {
            if (axis == close) continue;
            from += source->strides[axis];
            to += target->strides[axis];
            if (++index[axis] < source->shape[axis]) break;
            from -= index[axis] * source->strides[axis];
            to -= index[axis] * target->strides[axis];
            index[axis] = 0;
        }
        if (axis < 0) return;
    }
}

/* --- a part of an array in a file ----------------------------------------------------------------- */

/* All bytes of one run; 0, or why not: an errno, or -1 where the file ends before. */
static int read_run(int file, char *to, Py_ssize_t size, off_t from) {
    while (size > 0) {
        ssize_t got = pread(file, to, (size_t)size, from);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : -1;
        to += got;
        from += got;
        size -= got;
    }
    return 0;
}

/* Axis by axis into `to`, which has the shape; axes that lie in one piece on both sides are one run. */
static int read_part(int file, off_t from, const Py_ssize_t *steps, const Py_buffer *to) {
    int axes = to->ndim;
    Py_ssize_t index[PyBUF_MAX_NDIM] = {0}, run = to->itemsize;
    while (axes > 0 && steps[axes - 1] == run && to->strides[axes - 1] == run) run *= to->shape[--axes];
    char *place = to->buf;
    for (;;) {
        int failed = read_run(file, place, run, from);
        if (failed) return failed;
        int axis = axes - 1;
        for (; axis >= 0; axis--) {
            from += steps[axis];
            place += to->strides[axis];
            if (++index[axis] < to->shape[axis]) break;
            from -= index[axis] * steps[axis];
            place -= index[axis] * to->strides[axis];
            index[axis] = 0;
        }
        if (axis < 0) return 0;
    }
}

/* --- to and from Python ------------------------------------------------------------------------- */

static int type_named(const char *name, Type *type) {
    for (int i = 0; i < TYPES; i++) {
        if (strcmp(name, table[i].name) == 0) {
            *type = (Type)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "expected elements of a type that the kernel knows, got %s", name);
    return -1;
}

static int is_of_size(const Py_buffer *buffer, const char *name, Py_ssize_t itemsize, Py_ssize_t size) {
    if (buffer->len == size * itemsize) return 1;
    PyErr_Format(PyExc_ValueError, "expected %zd bytes for %s, got %zd", size * itemsize, name, buffer->len);
    return 0;
}

static PyObject *py_describe(PyObject *self, PyObject *args) {
    Py_buffer data;
    const char *name;
    if (!PyArg_ParseTuple(args, "y*s:describe", &data, &name)) return NULL;
    Type type;
    Stats s = {0};
    int known = type_named(name, &type) == 0;
    if (known) {
        Py_BEGIN_ALLOW_THREADS
        describe(type, data.buf, data.len / table[type].size, &s);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    if (!known) return NULL;
    return Py_BuildValue("(ndddddnn)", s.count, s.min, s.max, s.sum, s.sum_abs, s.sum_squares, s.nan, s.inf);
}

static PyObject *py_compare(PyObject *self, PyObject *args) {
    Py_buffer base, raw, errors = {0};
    const char *base_name, *raw_name;
    PyObject *given;
    Pair pair;
    if (!PyArg_ParseTuple(args, "y*sy*sddO:compare", &base, &base_name, &raw, &raw_name, &pair.atol,
                          &pair.rtol, &given))
        return NULL;
    Figures f;
    int valid = type_named(base_name, &pair.base_type) == 0 && type_named(raw_name, &pair.raw_type) == 0;
    valid = valid && (given == Py_None || PyObject_GetBuffer(given, &errors, PyBUF_SIMPLE) == 0);
    if (valid) {
        pair.base = base.buf;
        pair.raw = raw.buf;
        pair.errors = errors.buf;
        pair.size = base.len / table[pair.base_type].size;
        valid = is_of_size(&raw, "raw", table[pair.raw_type].size, pair.size) &&
                (given == Py_None || is_of_size(&errors, "errors", sizeof(double), pair.size));
    }
    if (valid) {
        Py_BEGIN_ALLOW_THREADS
        compare(&pair, &f);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&base);
    PyBuffer_Release(&raw);
    if (errors.obj) PyBuffer_Release(&errors);
    if (!valid) return NULL;
    return Py_BuildValue("(nnnndddddddddn)", f.finite, f.agreeing, f.parted, f.mismatched, f.max_abs,
                         f.max_rel, f.excess, f.sum_abs, f.sum_base, f.squares, f.squares_base,
                         f.squares_raw, f.product, f.worst);
}

/* NULL, or what does not go together. */
static const char *not_alike(const Py_buffer *source, const Py_buffer *target) {
    Py_ssize_t size = target->itemsize;
    if (source->ndim != target->ndim || source->ndim < 1) return "arrays of as many axes, and of one at least";
    for (int axis = 0; axis < source->ndim; axis++)
        if (source->shape[axis] != target->shape[axis]) return "arrays of one shape";
    if (source->itemsize != size) return "elements of one size";
    if (size != 1 && size != 2 && size != 4 && size != 8 && size != 16) return "elements of 1 to 16 bytes";
    return PyBuffer_IsContiguous(target, 'C') ? NULL : "a target in C order";
}

static PyObject *py_arrange(PyObject *self, PyObject *args) {
    Py_buffer source, target;
    PyObject *from, *to;
    if (!PyArg_ParseTuple(args, "OO:arrange", &from, &to)) return NULL;
    if (PyObject_GetBuffer(from, &source, PyBUF_STRIDED_RO) != 0) return NULL;
    if (PyObject_GetBuffer(to, &target, PyBUF_STRIDED) != 0) {
        PyBuffer_Release(&source);
        return NULL;
    }
    const char *expected = not_alike(&source, &target);
    if (expected) {
        PyErr_Format(PyExc_ValueError, "expected %s", expected);
    } else if (source.len > 0) {
        Py_BEGIN_ALLOW_THREADS
        arrange(&source, &target);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&source);
    PyBuffer_Release(&target);
    if (expected) return NULL;
    Py_RETURN_NONE;
}

static int parse_steps(PyObject *tuple, int axes, Py_ssize_t *steps) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != axes) {
        PyErr_SetString(PyExc_ValueError, "expected a step for each axis");
        return 0;
    }
    for (int axis = 0; axis < axes; axis++) {
        steps[axis] = PyLong_AsSsize_t(PyTuple_GetItem(tuple, axis));
        if (steps[axis] == -1 && PyErr_Occurred()) return 0;
    }
    return 1;
}

static PyObject *py_read_part(PyObject *self, PyObject *args) {
    int file, failed = 0;
    long long from;
    PyObject *tuple, *to;
    Py_buffer target;
    Py_ssize_t steps[PyBUF_MAX_NDIM];
    if (!PyArg_ParseTuple(args, "iLOO:read_part", &file, &from, &tuple, &to)) return NULL;
    if (PyObject_GetBuffer(to, &target, PyBUF_STRIDED) != 0) return NULL;
    int valid = parse_steps(tuple, target.ndim, steps);
    if (valid && target.len > 0) {
        Py_BEGIN_ALLOW_THREADS
        failed = read_part(file, (off_t)from, steps, &target);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&target);
    if (!valid) return NULL;
    if (failed > 0) {
        errno = failed;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyBool_FromLong(failed == 0);
}

static PyMethodDef methods[] = {
    {"arrange", py_arrange, METH_VARARGS, "Copy elements of any strides in C order; see the stub."},
    {"read_part", py_read_part, METH_VARARGS, "Read a part of an array from a file; see the stub."},
    {"compare", py_compare, METH_VARARGS, "The figures of a pair of tensors; see the stub."},
    {"describe", py_describe, METH_VARARGS, "The figures of one tensor; see the stub."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "padiff._kernel", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
