//! Functions of SQL over a column of texts: `SELECT tokens(text), shorter(text) FROM …` in a DataFusion program.
//!
//! `cargo run` counts and cuts a few texts. Copy [`Lacon`]; it works for every [`Work`].

use std::{num::NonZeroUsize, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    common::{DataFusionError, Result, not_impl_err},
    datasource::MemTable,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
    prelude::SessionContext,
};
use lacon_prompt::arrow::{Task, Work};
use lacon_tokens::{EncodingName, Side, encoding};

/// What is done to each text of a column, as a function of SQL. A text that fails becomes null.
#[derive(Debug)]
struct Lacon {
    name: &'static str,
    task: Task,
    signature: Signature,
}

impl Lacon {
    fn function(name: &'static str, work: Work) -> ScalarUDF {
        let task = Task { work, column: "text".into(), out: "out".into(), errors: Some("error".into()) };
        ScalarUDF::new_from_impl(Self { name, task, signature: Signature::string(1, Volatility::Immutable) })
    }

    fn batch(kind: &DataType, texts: Vec<ArrayRef>) -> Result<RecordBatch> {
        let schema = Arc::new(Schema::new(vec![Field::new("text", kind.clone(), true)]));
        Ok(match texts.is_empty() {
            true => RecordBatch::new_empty(schema),
            false => RecordBatch::try_new(schema, texts)?,
        })
    }
}

fn failed(error: lacon_prompt::arrow::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

// A function is what its name says: two of one name are one.
impl PartialEq for Lacon {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Lacon {}
impl std::hash::Hash for Lacon {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Lacon {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let [kind] = kinds else { return not_impl_err!("{} takes one column of texts", self.name) };
        let schema = self.task.schema(Self::batch(kind, Vec::new())?.schema_ref()).map_err(failed)?;
        Ok(schema.field_with_name("out")?.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let texts = ColumnarValue::values_to_arrays(&args.args)?.remove(0);
        let is_one = matches!(args.args[0], ColumnarValue::Scalar(_)) && rows > 0;
        let batch = Self::batch(&texts.data_type().clone(), vec![texts])?;
        // DataFusion has threads of its own: one a partition.
        let made = self.task.apply(&batch, NonZeroUsize::MIN).map_err(failed)?;
        let out = Arc::clone(made.column_by_name("out").expect("the task names it"));
        match is_one {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&out, 0)?)),
            false => Ok(ColumnarValue::Array(out)),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let context = SessionContext::new();
    let o200k = encoding(EncodingName::O200kBase);
    context.register_udf(Lacon::function("tokens", Work::Count(o200k)));
    context.register_udf(Lacon::function("shorter", Work::Truncate(o200k, 4, Side::Back)));
    let texts = StringArray::from(vec![Some("How do cities cool their streets?"), None, Some("naïve 数据")]);
    let batch = Lacon::batch(&DataType::Utf8, vec![Arc::new(texts)])?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    context.register_table("texts", Arc::new(table))?;
    let query = "SELECT text, tokens(text) AS tokens, shorter(text) AS shorter, tokens('one literal') AS same FROM texts";
    context.sql(query).await?.show().await?;
    let all = "SELECT sum(tokens(text)) AS tokens FROM texts WHERE tokens(text) > 3";
    context.sql(all).await?.show().await
}
