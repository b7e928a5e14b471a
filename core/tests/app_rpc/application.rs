//! The application: methods of every form, and the options and callbacks of an [`App`].

use std::cell::Cell;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use barespdk::app::{self, App, AppError, CliOption};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::json::{Name, ValueWriter};
use barespdk::rpc::{Json, Method, Params, RegisterError, Reply, RpcError, RpcRequest, States};
use barespdk::runtime;
use barespdk::uuid::Uuid;

fn echo(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let name = params.required::<Name<'_, 15>>("name")?.to_string();
    let uuid = params.optional::<Uuid>("uuid")?;
    let legs = params.optional::<Vec<String>>("legs")?;
    let size = params.optional::<u16>("size")?;
    let mode = params.optional_one_of("mode", &[("fast", 1_u8), ("safe", 2)])?;
    params.finish()?;
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.object(|object| {
            object.field("name", &name);
            object.field("uuid", &uuid);
            object.field("legs", &legs);
            object.field("size", &size);
            object.field("mode", &mode);
        });
    }))
}

fn reply(mut params: Params<'_>) -> Result<Box<dyn FnOnce(RpcRequest)>, RpcError> {
    let kind = params.required::<String>("kind")?;
    params.finish()?;
    Ok(match kind.as_str() {
        "nothing" => Box::new(|request| request.answer(Ok(()))),
        "string" => Box::new(|request| request.answer(Ok("a\0\"b".to_owned()))),
        "number" => Box::new(|request| request.answer(Ok(u64::MAX))),
        "false" => Box::new(|request| request.reply_bool(false)),
        "empty" => Box::new(|request| request.reply(|_| ())),
        "errno" => Box::new(|request| {
            let what = format_args!("Could not open bdev '{}'", "x\0y");
            request.fail(&RpcError::failed(Errno::ENODEV, what));
        }),
        "huge" => Box::new(|request| {
            let long = "x".repeat(1 << 20);
            request.reply(|writer| {
                writer.array(|array| (0..40).for_each(|_| array.push(long.as_str())));
            });
        }),
        "dropped" => Box::new(drop),
        other => return Err(RpcError::invalid_param("kind", other)),
    })
}

async fn later(mut params: Params<'_>) -> Result<String, RpcError> {
    let text = params.required::<&str>("text")?;
    let ms = params.required::<u64>("ms")?;
    params.finish()?;
    let slept = runtime::sleep(Duration::from_millis(ms)).await;
    slept.map_err(|error| RpcError::internal(format_args!("{error:?}")))?;
    // Borrowed from the request all the while.
    Ok(text.to_owned())
}

fn register(params: Params<'_>) -> Result<String, RpcError> {
    params.finish()?;
    const LATE: Method = Method::sync(c"test_late", States::RUNTIME, |_| Ok("late".to_owned()));
    let first = LATE.register();
    let second = LATE.register();
    let elsewhere = thread::spawn(|| LATE.register()).join().expect("no panic");
    Ok(format!("{first:?} {second:?} {elsewhere:?}"))
}

fn stop(mut params: Params<'_>) -> Result<(), RpcError> {
    let code = params.required::<i32>("code")?;
    params.finish()?;
    let elsewhere = thread::spawn(|| app::stop(1)).join().expect("no panic");
    assert_eq!(elsewhere, Err(Errno::EPERM));
    app::stop(code)?;
    Ok(())
}

fn note(mut params: Params<'_>) -> Result<(), RpcError> {
    let text = params.required::<&str>("text")?;
    params.finish()?;
    println!("note {text}");
    Ok(())
}

barespdk::rpc_methods!(
    Method::sync(c"test_note", States::ANY, note),
    Method::sync(c"test_echo", States::RUNTIME, echo),
    Method::new(c"test_reply", States::ANY, |request: RpcRequest| {
        match request.params().and_then(reply) {
            Ok(answer) => answer(request),
            Err(error) => request.fail(&error),
        }
    }),
    Method::asynchronous(c"test_later", States::RUNTIME, later),
);

const METHODS: &[Method] = &[
    Method::sync(c"test_register", States::RUNTIME, register),
    Method::sync(c"test_stop", States::RUNTIME, stop),
];

pub(crate) fn run(mode: &str, args: Vec<String>) -> ExitCode {
    let size = Cell::new(0_u32);
    let quick = Cell::new(false);
    let mut application = App::new("app_rpc")
        .methods(METHODS)
        .option(
            CliOption::value("size", "MiB", "a number").short('S'),
            |value| {
                let value = value.unwrap_or_default();
                size.set(
                    value
                        .parse()
                        .map_err(|_| format!("not a number: {value}"))?,
                );
                Ok(())
            },
        )
        .option(CliOption::flag("quick", "stop at once"), |value| {
            assert_eq!(value, None);
            quick.set(true);
            Ok(())
        })
        .before_start(|startup| {
            println!("size={} quick={}", size.get(), quick.get());
            let taken = startup.register(&METHODS[0]);
            assert_eq!(taken, Err(RegisterError::Exists(c"test_register")));
            Ok(())
        });
    let is_quick = ["quick", "twice", "config"].contains(&mode);
    if mode == "config" {
        application = application.json_config_data(
            r#"{"subsystems": [{"subsystem": "bdev", "config": [
                {"method": "test_note", "params": {"text": "memory"}}]}]}"#,
        );
    }
    if mode == "shutdown" {
        application = application.on_shutdown(|| {
            println!("shutdown");
            app::stop(9).expect("on the app thread");
        });
    }
    let name = "app_rpc".to_owned();
    let outcome = application.run([name].into_iter().chain(args), move || {
        println!("started");
        let cores: Vec<_> = Cpuset::of_application().iter().collect();
        assert_eq!(cores, [0]);
        barespdk::log_notice!("started %s%n");
        if is_quick {
            app::stop(7).expect("on the app thread");
        }
    });
    assert_eq!(app::stop(1), Err(Errno::EPERM));
    if mode == "twice" {
        let again = App::new("again").run(["again"], || ());
        assert_eq!(again, Err(AppError::AlreadyRun));
    }
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => panic!("{error}"),
    }
}
