//! A formula as a tree, and its value.

use super::token::{Placed, Token, tokens};
use super::{Dimension, FormulaError, Quantity};

/// Brackets within brackets.
const DEEPEST: usize = 24;

/// A formula that was read; its names are looked up when it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lab) struct Formula {
    text: String,
    root: Term,
}

/// A part of a formula, and the byte at which its own sign or name stands.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    Quantity(Quantity),
    Name(usize, String),
    Negative(Box<Term>),
    Binary(usize, char, Box<Term>, Box<Term>),
    Call(usize, Function, Vec<Term>),
}

/// What a name before brackets does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Min,
    Max,
    Sqrt,
    Ln,
    Exp,
    Abs,
    Rank,
}

impl Function {
    const ALL: [(&'static str, Self); 7] = [
        ("min", Self::Min),
        ("max", Self::Max),
        ("sqrt", Self::Sqrt),
        ("ln", Self::Ln),
        ("exp", Self::Exp),
        ("abs", Self::Abs),
        ("rank", Self::Rank),
    ];

    /// The function of this name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, function)| function)
    }

    const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// Where the value of a name comes from: the value, or why there is none.
pub(in crate::lab) type Lookup<'l> = dyn Fn(&str) -> Result<Quantity, String> + 'l;

impl Formula {
    /// Reads `text`.
    ///
    /// # Errors
    /// If it is no formula.
    pub(in crate::lab) fn parse(text: &str) -> Result<Self, FormulaError> {
        let mut reader = Reader::of(text)?;
        let formula = reader.formula()?;
        match reader.tokens.get(reader.next) {
            None => Ok(formula),
            Some((at, _)) => {
                Err(FormulaError::at(text, *at, "the formula has ended before; write a sign between"))
            }
        }
    }

    /// As it is written.
    pub(in crate::lab) fn text(&self) -> &str {
        &self.text
    }

    /// The names in it, each as often as it stands there.
    pub(in crate::lab) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.collect(&mut names);
        names
    }

    /// The number and the name, if it is a name that many times: `20 * pumps_p99`, `95% * planned`.
    pub(in crate::lab) fn multiple(&self) -> Option<(f64, &str)> {
        let Term::Binary(_, '*', left, right) = &self.root else { return None };
        match (left.as_ref(), right.as_ref()) {
            (Term::Quantity(number), Term::Name(_, name)) | (Term::Name(_, name), Term::Quantity(number)) => {
                (number.dimension == Dimension::NUMBER).then_some((number.value, name))
            }
            _ => None,
        }
    }

    /// Its value, with names looked up by `lookup`.
    ///
    /// # Errors
    /// If a name has no value, unlike quantities are added, or the value is not finite.
    pub(in crate::lab) fn evaluate(&self, lookup: &Lookup<'_>) -> Result<Quantity, FormulaError> {
        let fault = |(at, message)| FormulaError::at(&self.text, at, message);
        let found = self.root.evaluate(lookup).map_err(fault)?;
        if !found.value.is_finite() {
            return Err(FormulaError::at(&self.text, 0, "has no finite value here"));
        }
        Ok(found)
    }
}

impl Term {
    fn collect<'t>(&'t self, names: &mut Vec<&'t str>) {
        match self {
            Self::Quantity(_) => {}
            Self::Name(_, name) => names.push(name),
            Self::Negative(term) => term.collect(names),
            Self::Binary(_, _, left, right) => {
                left.collect(names);
                right.collect(names);
            }
            Self::Call(_, _, arguments) => arguments.iter().for_each(|argument| argument.collect(names)),
        }
    }

    fn evaluate(&self, lookup: &Lookup<'_>) -> Result<Quantity, (usize, String)> {
        match self {
            Self::Quantity(quantity) => Ok(*quantity),
            Self::Name(at, name) => lookup(name).map_err(|message| (*at, message)),
            Self::Negative(term) => {
                let found = term.evaluate(lookup)?;
                Ok(Quantity { value: -found.value, ..found })
            }
            Self::Binary(at, sign, left, right) => {
                let (left, right) = (left.evaluate(lookup)?, right.evaluate(lookup)?);
                combined(*sign, left, right).map_err(|message| (*at, message))
            }
            Self::Call(at, function, arguments) => {
                let values: Result<Vec<_>, _> =
                    arguments.iter().map(|argument| argument.evaluate(lookup)).collect();
                called(*function, &values?).map_err(|message| (*at, message))
            }
        }
    }
}

/// The value of two quantities with a sign between them.
fn combined(sign: char, left: Quantity, right: Quantity) -> Result<Quantity, String> {
    let power = |power: i8| Dimension(left.dimension.0.saturating_add(power));
    match sign {
        '*' => Ok(Quantity { value: left.value * right.value, dimension: power(right.dimension.0) }),
        '/' if right.value == 0.0 => Err("divides by nothing".to_owned()),
        '/' => Ok(Quantity {
            value: left.value / right.value,
            dimension: power(right.dimension.0.saturating_neg()),
        }),
        _ if left.dimension != right.dimension => {
            let (one, other) = (left.dimension.described(), right.dimension.described());
            Err(format!("{one} and {other} cannot be added; write both in the same unit"))
        }
        '-' => Ok(Quantity { value: left.value - right.value, ..left }),
        _ => Ok(Quantity { value: left.value + right.value, ..left }),
    }
}

/// The value of a function.
fn called(function: Function, arguments: &[Quantity]) -> Result<Quantity, String> {
    let name = function.name();
    let Some((first, others)) = arguments.split_first() else {
        return Err(format!("`{name}` needs a value in its brackets"));
    };
    if matches!(function, Function::Min | Function::Max | Function::Rank) {
        if others.iter().any(|other| other.dimension != first.dimension) {
            return Err(format!("`{name}` compares like with like; write all in the same unit"));
        }
        let values = arguments.iter().map(|argument| argument.value);
        return Ok(match function {
            Function::Min => Quantity { value: values.fold(f64::INFINITY, f64::min), ..*first },
            Function::Max => Quantity { value: values.fold(f64::NEG_INFINITY, f64::max), ..*first },
            // The place of the first among all of them, the smallest of which has place 1.
            _ => Quantity::number(1.0 + values.filter(|value| *value < first.value).count() as f64),
        });
    }
    if !others.is_empty() {
        return Err(format!("`{name}` takes one value"));
    }
    match function {
        Function::Abs => Ok(Quantity { value: first.value.abs(), ..*first }),
        Function::Sqrt if first.dimension.0 % 2 == 0 => {
            Ok(Quantity { value: first.value.sqrt(), dimension: Dimension(first.dimension.0 / 2) })
        }
        Function::Ln if first.dimension == Dimension::NUMBER => Ok(Quantity::number(first.value.ln())),
        Function::Exp if first.dimension == Dimension::NUMBER => Ok(Quantity::number(first.value.exp())),
        _ => {
            Err(format!("`{name}` takes a plain number; divide {} by its unit", first.dimension.described()))
        }
    }
}

/// Reads tokens from left to right.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn of(text: &'t str) -> Result<Self, FormulaError> {
        Ok(Self { text, tokens: tokens(text)?, next: 0, depth: 0 })
    }

    /// The formula that begins here; it ends before what cannot belong to it.
    pub(super) fn formula(&mut self) -> Result<Formula, FormulaError> {
        let from = self.place();
        let root = self.sum()?;
        let text = self.text[from..self.place()].trim().to_owned();
        // Places count from the beginning of the formula's own text.
        Ok(Formula { root: root.moved(from), text })
    }

    /// The byte at which the next token stands, or the end.
    pub(super) fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at)
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).map(|(_, token)| token.clone());
        self.next += usize::from(token.is_some());
        token
    }

    /// Takes one of the signs in `wanted`, with its place.
    fn sign(&mut self, wanted: &[char]) -> Option<(usize, char)> {
        match self.tokens.get(self.next) {
            Some((at, Token::Sign(sign))) if wanted.contains(sign) => {
                self.next += 1;
                Some((*at, *sign))
            }
            _ => None,
        }
    }

    fn sum(&mut self) -> Result<Term, FormulaError> {
        let mut term = self.product()?;
        while let Some((at, sign)) = self.sign(&['+', '-']) {
            term = Term::Binary(at, sign, Box::new(term), Box::new(self.product()?));
        }
        Ok(term)
    }

    fn product(&mut self) -> Result<Term, FormulaError> {
        let mut term = self.signed()?;
        while let Some((at, sign)) = self.sign(&['*', '/']) {
            term = Term::Binary(at, sign, Box::new(term), Box::new(self.signed()?));
        }
        Ok(term)
    }

    fn signed(&mut self) -> Result<Term, FormulaError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(FormulaError::at(self.text, self.place(), "is nested too deep; name a part of it"));
        }
        let term = match self.sign(&['-']) {
            Some(_) => Ok(Term::Negative(Box::new(self.signed()?))),
            None => self.atom(),
        };
        self.depth -= 1;
        term
    }

    fn atom(&mut self) -> Result<Term, FormulaError> {
        let at = self.place();
        match self.take() {
            Some(Token::Quantity(quantity)) => Ok(Term::Quantity(quantity)),
            Some(Token::Share(share)) => Ok(Term::Quantity(Quantity::number(share))),
            Some(Token::Name(name)) if self.sign(&['(']).is_some() => self.call(at, &name),
            Some(Token::Name(name)) => Ok(Term::Name(at, name)),
            Some(Token::Sign('(')) => {
                let inner = self.sum()?;
                self.close()?;
                Ok(inner)
            }
            _ => Err(FormulaError::at(self.text, at, "a number or a name is missing here")),
        }
    }

    fn call(&mut self, at: usize, name: &str) -> Result<Term, FormulaError> {
        let Some(function) = Function::named(name) else {
            let known = Function::ALL.map(|(name, _)| name).join(", ");
            return Err(FormulaError::at(
                self.text,
                at,
                format!("`{name}` is no function; there are {known}"),
            ));
        };
        let mut arguments = vec![self.sum()?];
        while self.sign(&[',']).is_some() {
            arguments.push(self.sum()?);
        }
        self.close()?;
        Ok(Term::Call(at, function, arguments))
    }

    fn close(&mut self) -> Result<(), FormulaError> {
        let at = self.place();
        let closed = self.sign(&[')']).map(drop);
        closed.ok_or_else(|| FormulaError::at(self.text, at, "a closing bracket is missing here"))
    }
}

impl Term {
    /// The same with places that count from byte `from`.
    fn moved(self, from: usize) -> Self {
        let apart = |term: Box<Self>| Box::new(term.moved(from));
        match self {
            Self::Quantity(quantity) => Self::Quantity(quantity),
            Self::Name(at, name) => Self::Name(at.saturating_sub(from), name),
            Self::Negative(term) => Self::Negative(apart(term)),
            Self::Binary(at, sign, left, right) => {
                Self::Binary(at.saturating_sub(from), sign, apart(left), apart(right))
            }
            Self::Call(at, function, arguments) => Self::Call(
                at.saturating_sub(from),
                function,
                arguments.into_iter().map(|argument| argument.moved(from)).collect(),
            ),
        }
    }
}
