#include "actors/kb/learn.h"

#include "actors/kb/index.h"
#include "proto/buf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEARN_STEPS 40
#define LEARN_MIN_STEPS 20
#define LEARN_BUDGET 5e9                    /* multiplications: about a second */
#define LEARN_MAX_WEIGHTS ((size_t)4 << 20) /* three times that, of floats, while it learns */
/* Of the weights' square, beside the mean loss: less of it keeps closer to the letter of the lines.
 */
#define LEARN_DECAY 3e-4f

/* Four floats that one instruction adds: the compiler does not find them by itself at -O2. All rows
 * are whole numbers of them (stride). */
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

struct trainer {
    const struct lines *lines;
    const uint32_t *label;
    size_t features, classes, stride;
    float *weight,
        *look; /* where we are; where Nesterov's method looks ahead (gradient is taken) */
    float *bias, *bias_look;
    float *gradient, *bias_gradient;
    float *score; /* of one line */
};

static size_t affordable(const struct lines *lines, size_t features, size_t stride);
static void descend(struct trainer *t, size_t steps);
static void line_gradient(struct trainer *t, size_t line);
static void softmax(float *score, size_t n);
static float boldness(const struct trainer *t);
static float top_curvature(const struct trainer *t);
static void add_scaled(float *to, const float *from, float by, size_t n);

void
learn(const struct lines *lines, const uint32_t *passage_of_line, size_t features, size_t passages,
      struct learned *ret)
{
    size_t stride = (passages + 7) / 8 * 8;
    size_t steps = affordable(lines, features, stride);

    *ret = (struct learned){0};
    if (steps == 0 || passages < 2) {
        return;
    }
    struct trainer t = {
        .lines = lines,
        .label = passage_of_line,
        .features = features,
        .classes = passages,
        .stride = stride,
        .weight = xcalloc(features * stride, sizeof(float)),
        .look = xcalloc(features * stride, sizeof(float)),
        .gradient = xcalloc(features * stride, sizeof(float)),
        .bias = xcalloc(stride, sizeof(float)),
        .bias_look = xcalloc(stride, sizeof(float)),
        .bias_gradient = xcalloc(stride, sizeof(float)),
        .score = xcalloc(stride, sizeof(float)),
    };
    descend(&t, steps);
    free(t.look);
    free(t.gradient);
    free(t.bias_look);
    free(t.bias_gradient);
    free(t.score);
    *ret = (struct learned){.weight = t.weight, .intercept = t.bias, .stride = stride};
}

void
learned_fini(struct learned *l)
{
    free(l->weight);
    free(l->intercept);
    *l = (struct learned){0};
}

void
learned_add(const struct learned *l, uint32_t feature, float by, float *scores)
{
    add_scaled(scores, l->weight + feature * l->stride, by, l->stride);
}

/* How many steps the budget allows; 0 where it's too few to be worth it. */
static size_t
affordable(const struct lines *lines, size_t features, size_t stride)
{
    double work = 2.0 * lines->start[lines->n] * (double)stride + 3.0 * (double)(features * stride);
    double steps = LEARN_BUDGET / (work + 1);

    if (features * stride > LEARN_MAX_WEIGHTS || steps < LEARN_MIN_STEPS) {
        return 0;
    }
    return steps > LEARN_STEPS ? LEARN_STEPS : (size_t)steps;
}

static void
descend(struct trainer *t, size_t steps)
{
    size_t n = t->features * t->stride;
    float rate = boldness(t) / (0.5f * top_curvature(t) + LEARN_DECAY);
    float momentum_of = 1;

    for (size_t step = 0; step < steps; step++) {
        memset(t->gradient, 0, n * sizeof(float));
        memset(t->bias_gradient, 0, t->stride * sizeof(float));
        for (size_t line = 0; line < t->lines->n; line++) {
            line_gradient(t, line);
        }
        float next_of = (1 + sqrtf(1 + 4 * momentum_of * momentum_of)) / 2;
        float momentum = (momentum_of - 1) / next_of;
        float scale = rate / (float)t->lines->n, keep = 1 - rate * LEARN_DECAY;

        momentum_of = next_of;
        for (size_t i = 0; i < n; i += 4) {
            quad *w = (quad *)(t->weight + i), *look = (quad *)(t->look + i);
            quad next = keep * *look - scale * *(const quad *)(t->gradient + i);
            *look = next + momentum * (next - *w);
            *w = next;
        }
        for (size_t i = 0; i < t->stride; i++) {
            float next = t->bias_look[i] - scale * t->bias_gradient[i];
            t->bias_look[i] = next + momentum * (next - t->bias[i]);
            t->bias[i] = next;
        }
    }
}

static void
line_gradient(struct trainer *t, size_t line)
{
    const struct lines *l = t->lines;
    float *score = t->score;
    size_t stride = t->stride;

    memcpy(score, t->bias_look, stride * sizeof(float));
    for (uint32_t k = l->start[line]; k < l->start[line + 1]; k++) {
        add_scaled(score, t->look + l->feature[k] * stride, l->weight[k], stride);
    }
    softmax(score, t->classes);
    score[t->label[line]] -= 1;
    for (size_t c = t->classes; c < stride; c++) {
        score[c] = 0;
    }
    for (uint32_t k = l->start[line]; k < l->start[line + 1]; k++) {
        add_scaled(t->gradient + l->feature[k] * stride, score, l->weight[k], stride);
    }
    add_scaled(t->bias_gradient, score, 1, stride);
}

static void
softmax(float *score, size_t n)
{
    float top = score[0], sum = 0;

    for (size_t c = 1; c < n; c++) {
        top = score[c] > top ? score[c] : top;
    }
    for (size_t c = 0; c < n; c++) {
        score[c] = expf(score[c] - top);
        sum += score[c];
    }
    for (size_t c = 0; c < n; c++) {
        score[c] /= sum;
    }
}

/* The curvature of the loss is at most a half of the lines' own, and that only where two passages
 * share all probability; among many passages a longer step is safe, and four times as quick. */
static float
boldness(const struct trainer *t)
{
    float by = (float)t->classes / 4;

    return by < 1 ? 1 : by > 4 ? 4 : by;
}

/* The largest eigenvalue of the lines' mean outer product (with the constant 1 of the intercept),
 * by a few turns of power iteration: the step may be as long as its inverse. A margin stands on
 * top, since the iteration comes from below. */
static float
top_curvature(const struct trainer *t)
{
    const struct lines *l = t->lines;
    float *v = xcalloc(t->features + 1, sizeof *v), *next = xcalloc(t->features + 1, sizeof *v);
    float norm = 1;

    for (size_t f = 0; f <= t->features; f++) {
        v[f] = 1 / sqrtf((float)t->features + 1);
    }
    for (int turn = 0; turn < 8; turn++) {
        memset(next, 0, (t->features + 1) * sizeof *next);
        for (size_t line = 0; line < l->n; line++) {
            float dot = v[t->features];
            for (uint32_t k = l->start[line]; k < l->start[line + 1]; k++) {
                dot += l->weight[k] * v[l->feature[k]];
            }
            for (uint32_t k = l->start[line]; k < l->start[line + 1]; k++) {
                next[l->feature[k]] += dot * l->weight[k] / (float)l->n;
            }
            next[t->features] += dot / (float)l->n;
        }
        norm = 0;
        for (size_t f = 0; f <= t->features; f++) {
            norm += next[f] * next[f];
        }
        norm = sqrtf(norm);
        for (size_t f = 0; f <= t->features; f++) {
            v[f] = next[f] / norm;
        }
    }
    free(v);
    free(next);
    return norm * 1.1f;
}

static void
add_scaled(float *to, const float *from, float by, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        *(quad *)(to + i) += by * *(const quad *)(from + i);
    }
}
