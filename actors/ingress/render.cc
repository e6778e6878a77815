extern "C" {
#include "actors/ingress/render.h"
}

#include <cstdlib>
#include <kainjow/mustache.hpp>

using kainjow::mustache::data;
using kainjow::mustache::list;
using kainjow::mustache::mustache;

static data
from_json(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        data object{data::type::object};
        const char *key;
        json_t *member;
        json_object_foreach(const_cast<json_t *>(value), key, member)
        {
            object.set(key, from_json(member));
        }
        return object;
    }
    case JSON_ARRAY: {
        data array{data::type::list};
        for (size_t i = 0; i < json_array_size(value); i++) {
            array.push_back(from_json(json_array_get(value, i)));
        }
        return array;
    }
    case JSON_STRING:
        if (json_string_length(value) == 0) {
            return data{false};
        }
        return data{std::string(json_string_value(value), json_string_length(value))};
    case JSON_INTEGER:
        return data{std::to_string(json_integer_value(value))};
    case JSON_REAL:
        return data{std::to_string(json_real_value(value))};
    case JSON_TRUE:
        return data{true};
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return data{false};
}

extern "C" void
render(struct str template_text, const json_t *view, struct buf *out)
{
    mustache page{std::string(template_text.p, template_text.n)};
    if (!page.is_valid()) {
        std::abort();
    }
    std::string text = page.render(from_json(view));
    buf_add(out, text.data(), text.size());
}
